"""Downloads that break off are gone on with; what is kept of them never harms a version that is good."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mirror
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, client, fetcher, partial_download
from skerry.core import errors

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MODEL = os.urandom(600_000)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class World:
    tmp: Path
    mirror: mirror.Mirror

    def fetch(self, version: int = 1, *, timeout_s: float = 20.0, max_bytes: int = 1 << 20) -> bytes:
        root = (self.tmp / "repository" / "metadata" / "1.root.json").read_bytes()
        node = client.TrustClient(self.tmp / "node", root, self.mirror.url, timeout_s=timeout_s)
        fetched = node.fetch(f"retrained/digits/{version}", self.tmp / "fetched", max_bytes, now=T0)
        return fetched.files["model.onnx"].read_bytes()

    @property
    def path(self) -> str:
        """The model's path in the mirror."""
        return f"targets/retrained/digits/1/{digest(MODEL)[7:]}.model.onnx"

    @property
    def kept(self) -> Path:
        return self.tmp / "node" / "unfinished" / f"{digest(MODEL)[7:]}.model.onnx"

    def break_off(self, *sizes: int) -> None:
        for size in sizes:
            self.mirror.cuts[self.path] = [size]
            with pytest.raises(errors.UnavailableError, match="broke off"):
                self.fetch()

    def is_tidy(self) -> bool:
        return list((self.tmp / "node" / "unfinished").iterdir()) == []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    online = ceremony.ensure(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    for version, model in ((1, MODEL), (2, MODEL[::-1])):
        named = {"model": {"name": "model.onnx", "digest": digest(model)}}
        manifest = json.dumps({"model": "digits", "files": named}).encode()
        files = {"manifest.json": manifest, "model.onnx": model}
        online.add_version("retrained", "digits", version, digest(manifest), files, now=T0)
    online.publish(now=T0)
    served = mirror.Mirror(tmp_path / "repository")
    yield World(tmp_path, served)
    served.close()


def test_what_broke_off_is_gone_on_with_until_it_is_whole(world: World) -> None:
    world.break_off(100_000, 200_000, 50_000)
    assert world.kept.stat().st_size == 350_000
    world.mirror.served_bytes = 0
    assert world.fetch() == MODEL
    assert world.mirror.asked == ["bytes=100000-", "bytes=300000-", "bytes=350000-"]
    assert world.mirror.served_bytes < 300_000, "only the rest was sent"
    assert world.is_tidy()


def test_a_file_that_came_whole_and_was_not_looked_at_is_not_asked_for_again(world: World) -> None:
    world.break_off(100_000)
    world.kept.write_bytes(MODEL)  # killed before the hash was checked
    world.mirror.served_bytes = 0
    assert world.fetch() == MODEL
    assert world.mirror.served_bytes < 20_000 and world.is_tidy()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda kept: bytes(len(kept)), id="zeros after a power cut"),
        pytest.param(lambda kept: kept[:-1] + bytes([kept[-1] ^ 1]), id="a flipped byte"),
        pytest.param(lambda kept: kept + b"x" * len(MODEL), id="more than the file has"),
    ],
)
def test_damage_of_what_was_kept_costs_a_download_and_never_the_version(world: World, damage: object) -> None:
    world.break_off(100_000)
    world.kept.write_bytes(damage(world.kept.read_bytes()))  # type: ignore[operator]
    assert world.fetch() == MODEL
    assert world.is_tidy()


def test_a_file_that_is_bad_on_the_server_is_refused_though_the_download_was_gone_on_with(world: World) -> None:
    bad = MODEL[:-1] + bytes([MODEL[-1] ^ 1])
    world.mirror.overrides[world.path] = bad
    world.break_off(100_000)
    with pytest.raises(errors.IntegrityError, match="is not the file that was signed"):
        world.fetch()
    assert world.is_tidy()


def test_a_server_whose_file_changed_sends_everything(world: World) -> None:
    world.break_off(100_000)
    world.mirror.tag = '"another"'
    assert world.fetch() == MODEL


def test_a_server_without_ranges_sends_everything(world: World) -> None:
    world.mirror.ranges = False
    world.break_off(100_000)
    assert world.fetch() == MODEL


def test_a_server_that_answers_with_another_part_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.break_off(100_000)
    monkeypatch.setattr(partial_download.PartialDownload, "headers", lambda self: {"Range": "bytes=5-"})
    with pytest.raises(errors.UnavailableError, match="another part"):
        world.fetch()
    monkeypatch.undo()
    assert world.fetch() == MODEL


def test_metadata_is_never_gone_on_with(world: World) -> None:
    world.mirror.cuts["metadata/2.snapshot.json"] = [10]
    with pytest.raises(errors.UnavailableError):
        world.fetch()
    assert world.fetch() == MODEL
    assert world.mirror.asked == []


def test_two_models_that_take_turns_both_arrive(world: World) -> None:
    world.break_off(300_000)
    other = world.path.replace("/1/", "/2/").replace(digest(MODEL)[7:], digest(MODEL[::-1])[7:])
    world.mirror.cuts[other] = [300_000]
    with pytest.raises(errors.UnavailableError):
        world.fetch(2)
    assert world.fetch() == MODEL
    assert world.fetch(2) == MODEL[::-1]
    assert world.mirror.asked == ["bytes=300000-", "bytes=300000-"]


def test_what_is_kept_is_bounded_in_bytes_and_in_days(tmp_path: Path) -> None:
    for number in range(5):
        kept = partial_download.PartialDownload(tmp_path, f"{number}.onnx")
        kept.begin('"x"')
        list(kept.keep(iter([b"x" * 100])))
        os.utime(tmp_path / f"{number}.onnx", (1e9 * number, 1e9 * number))
    fresh = partial_download.PartialDownload(tmp_path, "fresh.onnx")
    fresh.begin("")
    list(fresh.keep(iter([b"x" * 100])))
    for number in (3, 4):
        os.utime(tmp_path / f"{number}.onnx")
    partial_download.make_room(tmp_path, "0.onnx", 250)
    assert sorted(path.name for path in tmp_path.glob("*.onnx"))[0] == "0.onnx", "its own is not touched"
    assert len(list(tmp_path.glob("*.onnx"))) == 3
    partial_download.make_room(tmp_path, "none", 10_000)
    assert "0.onnx" not in {path.name for path in tmp_path.iterdir()}, "older than a day"
    assert {path.name.removesuffix(".tag") for path in tmp_path.glob("*.tag")} == {
        path.name for path in tmp_path.glob("*.onnx")
    }


def test_a_server_that_is_too_slow_is_left_before_the_deadline_and_its_bytes_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "_WINDOW_S", 0.2)
    monkeypatch.setattr(fetcher, "_SLOWEST_BYTES_PER_S", 1000)
    world.mirror.dripping.add(world.path)
    with pytest.raises(errors.UnavailableError, match="bytes a second"):
        world.fetch()
    assert 0 < world.kept.stat().st_size < 100
    world.mirror.dripping.clear()
    assert world.fetch() == MODEL


def test_a_full_disk_is_told_and_the_version_is_not_to_blame(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: partial_download.PartialDownload, chunks: Iterator[bytes]) -> Iterator[bytes]:
        raise OSError(28, "No space left on device")
        yield b""

    monkeypatch.setattr(partial_download.PartialDownload, "keep", full)
    with pytest.raises(errors.UnavailableError, match="No space left"):
        world.fetch()
    monkeypatch.undo()
    assert world.fetch() == MODEL
