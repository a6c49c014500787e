"""A version whose golden set holds an erased row gives way to another one of the same network, by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import controlled_model
import controlling
import manifests
import numpy as np
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import keys, repository
from skerry.core import conditions, contract, digests, erasure_progress, erasures, manifest, npz, writers

World = controlling.World
ROWS = np.arange(3 * 28 * 28, dtype=np.int64).astype(np.uint8).reshape(3, 28, 28)
ANSWERS = np.arange(30, dtype=np.float32).reshape(3, 10)
GOLDEN = npz.pack({"image": ROWS, "logits": ANSWERS})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """digits-v1 of run-1 serves, and has a golden set of three real rows."""
    plain = controlled_model.candidate

    def candidate(salt: str, dataset: str, **changes: Any) -> Any:
        contents, _ = plain(salt, dataset, **changes)
        files = {"model.onnx": contents["model.onnx"], "golden.npz": GOLDEN if salt == "run-1" else b"other"}
        named = {name.partition(".")[0]: manifest.file_of(name, data) for name, data in files.items()}
        made = manifests.digits(files=named, dataset=dataset, **changes)
        return {"manifest.json": made.to_json(), **files}, made

    monkeypatch.setattr(controlling, "candidate", candidate)
    made = World(tmp_path / "world")
    made.ask_run("run-1")
    made.run(30)
    assert made.stable == "digits-v1"
    return made


def erase(world: World, rows: Sequence[int], name: str = "e1") -> None:
    """Storage is done with an erasure that meant these rows of the golden set."""
    world.objects.create("Erasure", name, {"request": f"visit {name}"}, manager=writers.OPERATOR)
    told = [erasure_progress.Row("ab" * 32, erasure_progress.content_digest(ROWS[row].tobytes())) for row in rows]
    world.blobs.write(f"{contract.erased_rows_folder(name)}/{'0' * 64}", erasure_progress.pack_rows(told))
    progress = erasure_progress.Progress(world.get("Erasure", name).uid, erasure_progress.DONE)
    world.blobs.write(contract.erasure_path(name), progress.to_json())


def said(world: World, name: str = "e1") -> tuple[str, str]:
    found = conditions.find(conditions.from_json(world.get("Erasure", name).status["conditions"]), erasures.GOLDEN)
    assert found is not None
    return found.status, found.message


def files(world: World, version: str) -> tuple[manifest.Manifest, dict[str, bytes]]:
    """Of a version as the model repository has it signed."""
    signed = repository.Repository(DirectoryBlobs(world.tmp / "repository"), keys.load(world.tmp / "keys" / "online"))
    found = signed.find_version(world.get("ModelVersion", version).spec["targetPath"])
    contents = {name: signed.read_target(found, name) for name in found.files}
    return manifest.from_json(contents["manifest.json"]), contents


def is_gone(world: World, golden: bytes) -> bool:
    digest = digests.sha256(golden)
    left = list((world.tmp / "repository" / "targets").rglob(f"{digests.hex_of(digest)}.*"))
    return not left and not world.blobs.exists(digests.blob_path(digest))


def test_the_version_that_serves_gives_way_to_one_of_the_same_network_without_the_row(world: World) -> None:
    before, _ = files(world, "digits-v1")
    erase(world, [1])
    world.run(2)
    assert not is_gone(world, GOLDEN)  # it serves until the other one does
    (held,) = world.get("Erasure", "e1").status["goldenSets"]
    assert (held["version"], held["rows"], held["replacedBy"]) == ("digits-v1", 1, "digits-v2")
    status, message = said(world)
    assert status == "False"
    assert "digits-v2 is the same network without them and is being rolled out (digits-v2-auto)" in message

    world.run(40)
    assert world.stable == "digits-v2"
    assert set(world.serving().values()) == {2}
    assert said(world) == ("True", "")
    assert is_gone(world, GOLDEN)
    assert world.condition("ModelVersion", "digits-v1", "Available") == ("False", "Erased")
    after, contents = files(world, "digits-v2")
    assert after.files["model"] == before.files["model"]
    assert (after.dataset, after.parents) == (before.dataset, (before.digest,))
    left = npz.read(contents["golden.npz"], "it", npz.Limits(1 << 20))
    np.testing.assert_array_equal(left["image"], ROWS[[0, 2]])
    np.testing.assert_array_equal(left["logits"], ANSWERS[[0, 2]])
    told = world.get("ModelVersion", "digits-v2").spec
    assert (told["run"], told["source"], told["sizeBytes"]) == ("run-1", "Trained", sum(map(len, contents.values())))
    assert all(world.blobs.exists(digests.blob_path(digests.sha256(data))) for data in contents.values())


def test_where_no_row_is_left_the_version_has_no_golden_set(world: World) -> None:
    erase(world, [0, 1, 2])
    world.run(40)
    made, contents = files(world, "digits-v2")
    assert world.stable == "digits-v2"
    assert set(made.files) == {"model"}
    assert "golden.npz" not in contents
    assert said(world) == ("True", "")


def test_two_erasures_of_one_golden_set_lead_to_one_version(world: World) -> None:
    erase(world, [0])
    erase(world, [2], name="e2")
    world.run(60)
    assert [one.name for one in world.objects.list("ModelVersion")] == ["digits-v1", "digits-v2"]
    left = npz.read(files(world, "digits-v2")[1]["golden.npz"], "it", npz.Limits(1 << 20))
    np.testing.assert_array_equal(left["image"], ROWS[[1]])
    assert said(world) == said(world, "e2") == ("True", "")


def test_no_comparison_is_waited_for_but_a_worse_version_still_goes_back(world: World) -> None:
    erase(world, [1])
    world.run(2)
    analysis = world.get("ModelRollout", "digits-v2-auto").spec["analysis"]
    assert analysis == {**controlled_model.edge_model("")["rollout"]["analysis"], "required": False}
    world.bad.add(str(world.get("ModelVersion", "digits-v2").spec["digest"]))
    world.run(40)
    assert world.phase("digits-v2-auto") == "RolledBack"
    assert world.stable == "digits-v1"
    assert "has ended (RolledBack): roll out another version" in said(world)[1]
    assert len(world.objects.list("ModelVersion")) == 2  # it is not tried again and again


def test_a_rollout_that_is_on_its_way_ends_first(world: World) -> None:
    world.ask_run("run-2")
    while not world.objects.list("ModelRollout")[-1].name.startswith("digits-v2"):
        world.run(1)
    erase(world, [1])
    world.run(2)
    assert "digits-v2-auto has ended" in said(world)[1]
    world.run(60)
    assert world.stable == "digits-v2"
    assert said(world) == ("True", "")
    assert len(world.objects.list("ModelVersion")) == 2  # nobody needs digits-v1 any more


def test_where_rollouts_are_not_automatic_a_person_is_told(world: World) -> None:
    world.edit_model(rollout={"automatic": False})
    erase(world, [1])
    world.run(20)
    assert world.available() == ["digits-v1", "digits-v2"]
    assert "digits-v2 is the same network without them: roll it out" in said(world)[1]


@pytest.mark.long
def test_killed_before_any_write_the_next_controller_makes_the_same_version(world: World, tmp_path: Path) -> None:
    def scenario(one: World) -> None:
        erase(one, [1])
        one.run(3)

    writes = 0
    for writes, one in enumerate(world.deaths(scenario, tmp_path), 1):
        one.others()
        one.run(60)
        assert one.stable == "digits-v2", f"killed before write {writes}"
        assert len(one.objects.list("ModelVersion")) == 2
        assert said(one) == ("True", "")
        assert is_gone(one, GOLDEN)
    assert writes >= 10
