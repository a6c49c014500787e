"""Which imports become available: what was signed is what is named, and fits the other versions of its model."""

import json
from pathlib import Path
from typing import Any

import controlled_model
import controlling
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import keys, repository
from skerry.core import digests, tensors, writers
from skerry.core.tasks import Classification

World = controlling.World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def available(world: World, name: str) -> tuple[str, str, str]:
    found = world.get("ModelVersion", name).status["conditions"][0]
    return found["status"], found["reason"], found["message"]


def test_an_import_becomes_available_and_is_rolled_out(world: World) -> None:
    world.import_version(1)
    world.run(2)
    assert available(world, "digits-v1")[:2] == ("True", "Published")
    assert [one.name for one in world.objects.list("ModelRollout")] == ["digits-v1-auto"]


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        pytest.param(
            {"digest": digests.sha256(b"other")}, "NotTrusted", "but imported/digits/1 is signed as", id="digest"
        ),
        pytest.param({"targetPath": "imported/digits/2"}, "NotTrusted", "must be named", id="a path of another number"),
        pytest.param({"targetPath": "retrained/digits/1"}, "NotTrusted", "must be named", id="a path of another role"),
        pytest.param({"model": "letters"}, "NotTrusted", "must be named", id="another model"),
        pytest.param({"version": 0}, "NotTrusted", "spec.version", id="number zero"),
        pytest.param({"size": 1}, "NotTrusted", "did you mean sizeBytes", id="a typo"),
    ],
)
def test_an_import_that_is_not_what_was_signed_is_refused(
    world: World, changes: dict[str, Any], reason: str, told: str
) -> None:
    world.import_version(1, **changes)
    world.run(5)
    status, found, message = available(world, "digits-v1")
    assert (status, found) == ("False", reason)
    assert told in message
    assert world.objects.list("ModelRollout") == []


def test_an_import_under_a_name_that_reserves_another_number_is_refused(world: World) -> None:
    world.import_version(1, name="digits-v7")
    world.run(2)
    assert available(world, "digits-v7")[:2] == ("False", "NotTrusted")


def test_an_import_that_is_signed_later_becomes_available_then(world: World) -> None:
    contents, made = controlled_model.candidate("import-1", "")
    spec = {
        "model": "digits",
        "version": 1,
        "digest": made.digest,
        "targetPath": "imported/digits/1",
        "source": "Imported",
    }
    world.objects.create("ModelVersion", "digits-v1", spec, manager=writers.OPERATOR)
    world.run(3)
    assert available(world, "digits-v1")[:2] == ("False", "NotReady")
    signer = repository.Repository(
        DirectoryBlobs(world.tmp / "repository"), keys.load(world.tmp / "keys" / "publisher")
    )
    signer.add_version("imported", "digits", 1, made.digest, contents, now=world.now)
    world.run(4)
    assert available(world, "digits-v1")[:2] == ("True", "Published")


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", "golden.npz"])
def test_an_import_whose_files_were_damaged_is_refused(world: World, file: str) -> None:
    world.import_version(1)
    path = next((world.tmp / "repository/targets/imported/digits/1").glob(f"*.{file}"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    world.run(2)
    status, reason, message = available(world, "digits-v1")
    assert (status, reason) == ("False", "NotTrusted")
    assert file in message


def test_an_import_signed_by_nobody_we_know_is_refused(world: World) -> None:
    world.import_version(1)
    newest = world.tmp / "repository/metadata/2.imported.json"
    document = json.loads(newest.read_bytes())
    document["signatures"][0]["sig"] = "0" * 128
    newest.write_text(json.dumps(document))
    world.run(2)
    assert available(world, "digits-v1")[:2] == ("False", "NotTrusted")
    assert world.objects.list("ModelRollout") == []


def test_an_import_of_an_unknown_model_waits_for_it(world: World) -> None:
    model = world.get("EdgeModel", "digits").spec
    world.objects.delete("EdgeModel", "digits")
    world.import_version(1)
    world.run(3)
    assert available(world, "digits-v1")[:2] == ("False", "NotReady")
    world.objects.create("EdgeModel", "digits", model, manager=writers.OPERATOR)
    world.run(4)
    assert available(world, "digits-v1")[0] == "True"


# ---- another interface

OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "classes in another order": (
        {"task": Classification(tuple("1023456789"))},
        "its class 0 is '1', that of the model '0'",
    ),
    "another name of the input": ({"inputs": (tensors.Spec("x", "UINT8", (28, 28)),)}, "its input is named 'x'"),
    "another shape": ({"inputs": (tensors.Spec("image", "UINT8", (14, 14)),)}, "has shape [14, 14]"),
    "a wider answer": ({"outputs": (tensors.Spec("logits", "FP32", (12,)),)}, "it answers 12 numbers a row"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_an_import_with_another_interface_than_its_model_is_never_rolled_out(world: World, other: str) -> None:
    described, told = OTHERS[other]
    name = world.import_version(1, described=described)
    world.run(5)
    assert world.condition("ModelVersion", name, "Available") == ("False", "InterfaceDiffers")
    (message,) = (one["message"] for one in world.get("ModelVersion", name).status["conditions"])
    assert told in message
    assert "under another model name" in message
    assert world.objects.list("ModelRollout") == []


def test_an_edited_description_lets_no_version_in_that_the_stable_one_could_not_be_rolled_back_to(world: World) -> None:
    world.import_version(1)
    world.run(30)
    assert world.stable == "digits-v1"
    world.edit_model(input={"name": "picture"})
    world.import_version(2, described={"inputs": (tensors.Spec("picture", "UINT8", (28, 28)),)})
    world.run(5)
    assert world.condition("ModelVersion", "digits-v2", "Available") == ("False", "InterfaceDiffers")
    (message,) = (one["message"] for one in world.get("ModelVersion", "digits-v2").status["conditions"])
    assert "of which digits-v1 is stable" in message
    assert "its input is named 'picture', that of the version before it 'image'" in message


def test_a_description_that_was_put_right_lets_the_import_in(world: World) -> None:
    name = world.import_version(1, described={"inputs": (tensors.Spec("picture", "UINT8", (28, 28)),)})
    world.run(5)
    world.edit_model(input={"name": "picture"})
    world.run(5)
    assert world.condition("ModelVersion", name, "Available") == ("True", "Published")
