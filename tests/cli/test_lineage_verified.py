"""`skerry lineage --verify` recomputes what a lineage rests on, and reads no more of a large dataset than it must."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import lineage_world
import numpy as np
import pytest
from lineage_world import Played

from skerry.adapters import blobs, dataset_store
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.cli.lineage import reading
from skerry.core import contract, digests


@pytest.fixture
def world(tmp_path: Path) -> Played:
    return lineage_world.played(tmp_path / "state")


def parts(world: Played) -> list[str]:
    return [part.digest for part in dataset_store.read_manifest(world.system.blobs, "digits", world.grown).parts]


def file_of(world: Played, name: str) -> Path:
    (found,) = (world.system.folder / "repository").rglob(f"*.{name}")
    return found


def altered(path: Path) -> None:
    first, *rest = path.read_bytes()
    path.write_bytes(bytes([first ^ 1, *rest]))


def stored(world: Played, path: str) -> Path:
    return world.system.folder / "blobs" / path


def test_what_is_whole_verifies(world: Played) -> None:
    found = json.loads(world.system.good("lineage", "version", "digits-v2", "--verify", "--json"))
    assert found["verified"]["differ"] == [] and found["verified"]["matches"] >= 8


@pytest.mark.parametrize(
    ("damage", "differs"),
    [
        pytest.param(lambda w: altered(stored(w, digests.blob_path(parts(w)[1]))), "part", id="a part altered"),
        pytest.param(lambda w: stored(w, digests.blob_path(parts(w)[0])).unlink(), "part", id="a part gone"),
        pytest.param(
            lambda w: altered(stored(w, contract.dataset_path("digits", w.grown))),
            "manifest of",
            id="a dataset altered",
        ),
        pytest.param(lambda w: altered(file_of(w, "model.onnx")), "signature and files", id="a network replaced"),
        pytest.param(lambda w: altered(file_of(w, "manifest.json")), "signature and files", id="a manifest replaced"),
        pytest.param(
            lambda w: altered(stored(w, contract.example_path("digits", digests.hex_of(w.examples[0])))),
            "example",
            id="an example altered",
        ),
        pytest.param(
            lambda w: stored(w, contract.label_path("digits", digests.hex_of(w.examples[0]))).write_bytes(b"{"),
            "label",
            id="a label cut off",
        ),
    ],
)
def test_what_does_not_match_is_named_and_fails_the_command(world: Played, damage: Any, differs: str) -> None:
    damage(world)
    result = world.system.run("lineage", "version", "digits-v2", "--verify", "--json")
    assert result.exit_code == 5
    (one,) = json.loads(result.stdout)["verified"]["differ"]
    assert one["what"].startswith(differs)


def test_metadata_that_nobody_signed_fails_the_command(world: Played) -> None:
    (newest,) = (world.system.folder / "repository" / "metadata").glob("2.retrained.json")
    newest.write_bytes(
        newest.read_bytes().replace(b'"length": 7', b'"length": 8').replace(b'"length":7', b'"length":8')
    )
    result = world.system.run("lineage", "version", "digits-v2", "--verify", "--json")
    assert result.exit_code == 5 and "signature" in result.stdout


def test_without_verify_a_damaged_network_is_not_read(world: Played) -> None:
    altered(file_of(world, "model.onnx"))
    world.system.good("lineage", "version", "digits-v2")


class Counted(DirectoryBlobs):
    """Counts the bytes that leave storage."""

    bytes_read = 0

    def read(self, path: str, *, max_bytes: int) -> bytes:
        data = super().read(path, max_bytes=max_bytes)
        self.bytes_read += len(data)
        return data

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        data = super().read_part(path, start, size_bytes)
        self.bytes_read += len(data)
        return data


def test_of_a_large_dataset_only_the_ids_are_read(world: Played) -> None:
    store, count = Counted(world.system.folder / "blobs"), 4000
    noise = np.random.default_rng(0)
    ids = [f"sha256:{noise.bytes(32).hex()}" for _ in range(count)]
    large = lineage_world.rows(ids, ["north"] * count)
    manifest = dataset_store.read_manifest(store, "digits", world.grown)
    wide = replace(manifest.input, shape=(64, 64))
    x = noise.integers(0, 255, (count, 64, 64), dtype=np.uint8)
    part = dataset_store.write_part(store, "train", "captured", replace(large, x=x))
    digest = dataset_store.write_manifest(store, replace(manifest, input=wide, parts=(part,)))
    size = store.stat(digests.blob_path(part.digest)).size_bytes
    store.bytes_read = 0
    read = reading.Reading(world.system.objects, store)
    assert digest in read.holders("digits", ids[-1])
    assert size > 16_000_000 and store.bytes_read < 2_000_000
    store.bytes_read = 0
    assert reading.Reading(world.system.objects, store).dataset("digits", digest) is not None
    assert store.bytes_read < 10_000, "of a dataset itself the manifest is enough"
    assert blobs.fetch(store, part.digest, size)
