"""A node that is forgotten: which versions learned from it is written down, its answers count no more, and what the
others bring is new again."""

import json
from pathlib import Path

import controlled_model
import controlling
import pytest

from skerry.adapters import dataset_store
from skerry.controller import exclusions
from skerry.core import contract, datasets, digests, writers
from skerry.core.tasks import Classification

World = controlling.World
HOSTILE = "edge-9"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def dataset(world: World, **nodes: int) -> str:
    """A dataset of captured rows, so many of each node."""
    captured = sum(nodes.values())
    part = datasets.Part("train", "captured", digests.sha256(b"part"), captured, (captured, *[0] * 9))
    rows = {name.replace("_", "-"): datasets.NodeRows(count, 0) for name, count in nodes.items()}
    image = datasets.Input("image", "UINT8", (28, 28))
    made = datasets.DatasetManifest(controlling.MODEL, Classification(tuple("0123456789")), image, (part,), nodes=rows)
    return dataset_store.write_manifest(world.blobs, made)


def forget(world: World, node: str = HOSTILE) -> None:
    world.objects.create("Exclusion", node, {"node": node, "reason": "lied"}, manager=writers.OPERATOR)


def test_the_versions_that_learned_from_a_forgotten_node_are_written_down(world: World) -> None:
    world.dataset = dataset(world, edge_1=60)
    world.ask_run("run-1")
    world.run(30)
    learned = dataset(world, edge_1=60, edge_9=40)
    world.dataset = learned
    world.ask_run("run-2")
    world.run(30)
    forget(world)
    world.run(3)
    status = world.get("Exclusion", HOSTILE).status
    assert status["versions"] == [
        {"version": "digits-v2", "model": "digits", "dataset": learned, "train": 40, "holdout": 0}
    ]
    assert status["unknown"] == []


def test_of_many_versions_one_tick_reads_a_bounded_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusions, "MAX_READ", 1)
    for number in (1, 2):
        world.dataset = dataset(world, edge_1=60 + number, edge_9=40)
        world.ask_run(f"run-{number}")
        world.run(30)
    forget(world)
    world.tick()
    assert "versions" not in world.get("Exclusion", HOSTILE).status, "half of it would look like the whole"
    world.tick()
    assert len(world.get("Exclusion", HOSTILE).status["versions"]) == 2


def test_a_version_whose_dataset_does_not_say_whose_rows_it_had_is_told_as_unknown(world: World) -> None:
    world.dataset = world.store_dataset(captured=50)
    world.ask_run("run-1")
    world.run(30)
    forget(world)
    world.run(3)
    status = world.get("Exclusion", HOSTILE).status
    assert (status["versions"], status["unknown"]) == ([], ["digits-v1"])


def test_flipped_labels_do_not_end_learning_once_their_node_is_forgotten(world: World) -> None:
    """Before: 6,144 rows of one node were known for good, so that what the others brought was never new again."""
    world.dataset = dataset(world, edge_1=100)
    world.ask_run("run-1")
    world.run(25)
    assert world.stable == "digits-v1"
    world.dataset = dataset(world, edge_1=100, edge_9=6144)
    world.ask_run("run-2")  # the run that its gates refused knew them all
    world.run(25)
    world.trainer = lambda name: None
    fresh = dataset(world, edge_1=800)
    reading = json.dumps({"datasetDigest": fresh, "captured": 800})
    world.fleetstate.put(contract.curator_reading("digits"), reading, ttl_s=60)

    def fired() -> list[str]:
        world.now_ms += 400_000
        world.fleetstate.put(contract.curator_reading("digits"), reading, ttl_s=60)
        world.tick()
        return [one.name for one in world.objects.list("TrainingRun") if one.name.startswith("digits-auto-")]

    assert fired() == []
    forget(world)
    assert len(fired()) == 1


def test_no_run_starts_on_a_dataset_that_still_holds_rows_of_a_forgotten_node(world: World) -> None:
    """The curator names a dataset without them within half a minute; until then its reading tells of the old one."""
    world.dataset = dataset(world, edge_1=100)
    world.ask_run("run-1")
    world.run(25)
    learned, clean = dataset(world, edge_1=100, edge_9=900), dataset(world, edge_1=1000)

    def fired(newest: str) -> list[str]:
        world.now_ms += 400_000
        reading = json.dumps({"datasetDigest": newest, "captured": 1000})
        world.fleetstate.put(contract.curator_reading("digits"), reading, ttl_s=60)
        world.tick()
        runs = world.objects.list("TrainingRun")
        return [str(one.spec["datasetDigest"]) for one in runs if one.name.startswith("digits-auto-")]

    forget(world)
    assert fired(learned) == []
    assert fired(clean) == [clean]


class WithLiar(World):
    """One node's answers are found bad, whatever its version."""

    liar = ""

    def answer(self, node: str, digest: str, n: int) -> None:
        self.bad = {digest} if node == self.liar else set()
        super().answer(node, digest, n)


@pytest.mark.parametrize(
    ("is_forgotten", "code", "stable"), [(False, "OneNodeDecides", "digits-v1"), (True, "NotWorse", "digits-v2")]
)
def test_answers_of_a_forgotten_node_count_in_no_verdict(
    tmp_path: Path, is_forgotten: bool, code: str, stable: str
) -> None:
    """It is one of the two that try the new version."""
    world = WithLiar(tmp_path, nodes=4)
    canary, rest = controlled_model.WAVES
    rollout = controlled_model.edge_model(world.dataset)["rollout"]
    world.edit_model(rollout={**rollout, "waves": [{**canary, "size": "2"}, rest]})
    world.ask_run("run-1")
    world.run(20)
    assert world.stable == "digits-v1"
    world.ask_run("run-2")
    world.run(4)
    (wave, *_) = world.get("ModelRollout", "digits-v2-auto").status["waves"]
    assert wave["counts"]["updated"] < 2, "nobody judged it yet"
    world.liar = wave["nodes"][0]
    if is_forgotten:
        forget(world, world.liar)
    world.run(25)
    verdict = world.get("ModelRollout", "digits-v2-auto").status["waves"][0]["verdict"]
    assert (verdict["code"], world.stable) == (code, stable), verdict
    assert (verdict["canary"]["bad"] > 0.1 * verdict["canary"]["n"]) != is_forgotten
