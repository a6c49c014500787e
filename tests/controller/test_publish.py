"""What is published, and what is not: gates, damaged proposals, release numbers, the rollout that follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import controlled_model
import controlling
import pytest

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import keys, repository
from skerry.core import digests, manifest, writers
from skerry.core.tasks import Classification

World = controlling.World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def listed(world: World) -> set[str]:
    signing = repository.Repository(DirectoryBlobs(world.tmp / "repository"), keys.load(world.tmp / "keys" / "online"))
    return signing.listed("retrained") | signing.listed("imported")


def run(world: World, trainer: Callable[[str], Any]) -> tuple[str, str, str]:
    """Status, reason and message of a run whose job ends after `trainer`."""

    def train(name: str) -> None:
        trainer(name)
        world.jobs.end(name, 0)

    world.trainer = train
    world.ask_run("run-1")
    world.run(4)
    status = world.get("TrainingRun", "run-1").status
    found = next(one for one in status["conditions"] if one["type"] == "Succeeded")
    return found["status"], found["reason"], found["message"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("Fail", "GatesFailed"), ("Inconclusive", "GatesInconclusive"), ("Error", "GatesError")],
)
def test_a_version_that_did_not_pass_its_gates_is_not_published(world: World, outcome: str, reason: str) -> None:
    assert run(world, lambda name: world.propose(name, outcome)) == ("False", reason, f"the gates said {outcome}")
    assert world.objects.list("ModelVersion") == []
    assert listed(world) == set()
    assert world.get("TrainingRun", "run-1").status["result"]["verdict"]["outcome"] == outcome, "the verdict is kept"


def other_manifest(world: World, name: str, **changes: Any) -> str:
    """A proposal whose manifest is a valid one, but not of this run."""
    dataset = world.get("TrainingRun", name).spec["datasetDigest"]
    _, made = controlled_model.candidate(name, dataset)
    other = manifest.from_json(made.to_json())
    digest = blob_store.put(world.blobs, manifest.Manifest(**{**_fields(other), **changes}).to_json())
    return world.propose(name, edit=lambda body: body.update(digest=digest, manifest=digest))


def _fields(made: manifest.Manifest) -> dict[str, Any]:
    return {field: getattr(made, field) for field in made.__dataclass_fields__}


def damage_blob(world: World, name: str, file: str) -> None:
    """The content of a proposed file is replaced in object storage."""
    world.propose(name)
    contents, _ = controlled_model.candidate(name, world.dataset)
    path = digests.blob_path(digests.sha256(contents[file]))
    world.blobs.write(path, b"X" * len(contents[file]))


LIES: dict[str, tuple[Callable[[World, str], Any], str]] = {
    "is no JSON": (lambda w, n: w.blobs.write(f"proposals/{n}.json", b"{"), "is not a proposal"),
    "is deeply nested": (lambda w, n: w.blobs.write(f"proposals/{n}.json", b"[" * 100_000), "is not a proposal"),
    "is too long": (lambda w, n: w.blobs.write(f"proposals/{n}.json", b" " * 2_000_000), "2000000 bytes"),
    "has no verdict": (lambda w, n: w.propose(n, edit=lambda b: b.pop("verdict")), "is not a proposal"),
    "has a verdict nobody knows": (lambda w, n: w.propose(n, "Splendid"), "Splendid"),
    "names a manifest that is not there": (
        lambda w, n: w.propose(n, edit=lambda b: b.update(digest="sha256:" + "0" * 64, manifest="sha256:" + "0" * 64)),
        "there is no blob",
    ),
    "names two manifests": (lambda w, n: w.propose(n, edit=lambda b: b.update(manifest="x")), "names manifest 'x'"),
    "has a damaged network": (lambda w, n: damage_blob(w, n, "model.onnx"), "does not have its digest"),
    "has a damaged manifest": (lambda w, n: damage_blob(w, n, "manifest.json"), "does not have its digest"),
    "is of another model": (lambda w, n: other_manifest(w, n, model="letters"), "'letters'"),
    "is of another dataset": (lambda w, n: other_manifest(w, n, dataset=digests.sha256(b"other")), "the run pins"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_proposal_that_is_not_what_it_says_is_rejected_and_nothing_is_signed(world: World, lie: str) -> None:
    trainer, told = LIES[lie]
    status, reason, message = run(world, lambda name: trainer(world, name))
    assert (status, reason) == ("False", "ProposalRejected")
    assert told in message
    assert listed(world) == set()
    assert world.objects.list("ModelVersion") == []


def test_a_published_version_says_what_people_need(world: World) -> None:
    assert run(world, world.propose)[:2] == ("True", "Published")
    spec = world.get("ModelVersion", "digits-v1").spec
    contents, made = controlled_model.candidate("run-1", world.dataset)
    assert spec == {
        "model": "digits",
        "version": 1,
        "digest": made.digest,
        "targetPath": "retrained/digits/1",
        "source": "Trained",
        "run": "run-1",
        "sizeBytes": sum(map(len, contents.values())),
        "verdict": {"outcome": "Pass", "reason": "the gates said Pass", "gates": []},
        "runtime": made.runtime.fields(),
    }
    assert world.get("EdgeModel", "digits").status["releaseCounter"] == 1


def test_without_automatic_no_rollout_begins(world: World) -> None:
    world.edit_model(rollout={"automatic": False})
    run(world, world.propose)
    assert (world.available(), world.objects.list("ModelRollout")) == (["digits-v1"], [])


def test_a_rollout_has_the_waves_of_its_model(world: World) -> None:
    run(world, world.propose)
    spec = world.get("ModelRollout", "digits-v1-auto").spec
    assert (spec["version"], spec["waves"]) == ("digits-v1", controlled_model.WAVES)
    assert "automatic" not in spec


# ---- release numbers


def test_numbers_rise_over_imports_and_runs_and_are_never_used_twice(world: World) -> None:
    world.import_version(4)
    world.run(3)
    assert run(world, world.propose)[0] == "True"
    assert world.available() == ["digits-v4", "digits-v5"]
    world.objects.delete("ModelVersion", "digits-v5")
    world.ask_run("run-2")
    world.trainer = world.train
    world.run(4)
    assert world.get("TrainingRun", "run-2").status["version"] == "digits-v6"


def test_a_number_that_an_import_takes_at_the_last_moment_is_left_to_it(world: World) -> None:
    real = world.objects.create

    def raced(kind: str, name: str, *args: Any, **options: Any) -> Any:
        if (kind, name) == ("ModelVersion", "digits-v1") and options["manager"] == writers.CONTROLLER:
            world.objects.create = real  # type: ignore[method-assign]
            world.import_version(1)
        return real(kind, name, *args, **options)

    world.objects.create = raced  # type: ignore[method-assign]
    assert run(world, world.propose)[0] == "True"
    assert world.get("TrainingRun", "run-1").status["version"] == "digits-v2"
    world.run(3)
    assert world.available() == ["digits-v1", "digits-v2"]


def test_a_proposal_with_another_interface_is_rejected_and_nothing_is_signed(world: World) -> None:
    def trainer(name: str) -> None:
        other_manifest(world, name, task=Classification(tuple("1023456789")))

    status, reason, message = run(world, trainer)
    assert (status, reason) == ("False", "ProposalRejected")
    assert "its class 0 is '1'" in message
    assert listed(world) == set()


def test_a_rollout_without_its_fleet_waits_and_says_which_command_makes_one(world: World) -> None:
    world.objects.delete("EdgeFleet", "all")
    world.import_version(1)
    world.run(5)
    (accepted,) = (
        one for one in world.get("ModelRollout", "digits-v1-auto").status["conditions"] if one["type"] == "Accepted"
    )
    assert (accepted["status"], accepted["reason"]) == ("False", "FleetNotFound")
    assert "`skerry fleets create all`" in accepted["message"]
    world.objects.create("EdgeFleet", "all", {}, manager=writers.OPERATOR)
    world.run(30)
    assert world.stable == "digits-v1"
