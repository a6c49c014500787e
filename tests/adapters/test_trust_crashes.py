"""The model repository when a writer dies, waits, finds the disk full, or sweeps: nobody reads half a state."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import selection
from trust_repository import DIGEST, FILES, T0, Killed, add_and_publish, die_at, founded, read, rotate_publisher

from skerry.adapters import files
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, cleanup
from skerry.core import errors

OPERATIONS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "founding": (lambda tmp: None, founded),
    "adding and publishing": (founded, add_and_publish),
    "renewing": (founded, lambda tmp: founded(tmp).refresh_if_due(now=T0 + timedelta(days=10))),
    "retiring": (
        add_and_publish,
        lambda tmp: (founded(tmp).retire({"retrained/digits/1"}, now=T0), founded(tmp).publish(now=T0)),
    ),
    "rotating the root key": (
        add_and_publish,
        lambda tmp: ceremony.rotate_root(DirectoryBlobs(tmp / "repository"), tmp / "keys", now=T0),
    ),
    "rotating the online keys": (
        add_and_publish,
        lambda tmp: ceremony.rotate_online(DirectoryBlobs(tmp / "repository"), tmp / "keys", now=T0),
    ),
    "rotating the publisher's key": (add_and_publish, lambda tmp: rotate_publisher(tmp)),
}


@pytest.mark.parametrize("after", selection.sampled([(False, "before the write"), (True, "after the write")], every=2))
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_at_any_write_leaves_the_old_state_or_the_new_and_a_second_run_completes_it(
    name: str, after: bool, tmp_path: Path
) -> None:
    prepare, operation = OPERATIONS[name]
    for nth in range(1, 40):
        tmp = tmp_path / f"{nth}"
        prepare(tmp)
        old = read(tmp)
        with pytest.MonkeyPatch.context() as patched:
            die_at(patched, nth, after=after)
            try:
                operation(tmp)
            except Killed:
                died = True
            else:
                died = False
        between = read(tmp)
        operation(tmp)
        new = read(tmp)
        assert between in (old, new), f"write {nth} showed readers a state that never was"
        if not died:
            assert nth > 2, "the operation wrote something"
            return
    pytest.fail("the operation never came to an end")


def test_writers_wait_for_one_another(tmp_path: Path) -> None:
    founded(tmp_path)
    order = []

    def writer(version: int) -> None:
        founded(tmp_path).add_version("retrained", "digits", version, DIGEST, FILES, now=T0)
        founded(tmp_path).publish(now=T0)
        order.append(version)

    threads = [threading.Thread(target=writer, args=(version,)) for version in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {1, 2, 3, 4} == set(order)
    assert {f"retrained/digits/{v}/{name}" for v in (1, 2, 3, 4) for name in FILES} == set(read(tmp_path) or ())


def test_a_writer_that_never_leaves_is_reported(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    held = pytest.raises(errors.UnavailableError, match="held by another writer")
    with files.locked(path), held, files.locked(path, timeout_s=0.1):
        pass


def test_a_full_disk_is_named_and_leaves_no_half_written_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(errors.UnavailableError, match="No space left on device"):
        files.write(tmp_path / "x.json", b"data")
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_removes_what_nobody_follows_and_only_when_it_is_old(tmp_path: Path) -> None:
    add_and_publish(tmp_path)
    online = founded(tmp_path)
    ceremony.rotate_root(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    online.add_version("retrained", "digits", 2, DIGEST, FILES, now=T0)
    online.retire({"retrained/digits/1"}, now=T0)
    online.publish(now=T0)
    everything = sorted(path for path in (tmp_path / "repository").rglob("*") if path.is_file())
    written = datetime.fromtimestamp(max(path.stat().st_mtime for path in everything), UTC)
    assert cleanup.remove_unreachable(online, now=written + timedelta(minutes=59)) == 0
    seen = read(tmp_path)
    removed = cleanup.remove_unreachable(online, now=written + timedelta(hours=2))
    left = sorted(path for path in (tmp_path / "repository").rglob("*") if path.is_file())
    assert read(tmp_path) == seen
    assert removed == len(everything) - len(left) > len(FILES)
    assert not [path for path in left if "retrained/digits/1/" in str(path)]
    assert {f"{n}.root.json" for n in (1, 2)} <= {path.name for path in left}


def test_the_sweep_leaves_alone_what_is_signed_and_about_to_be_published(tmp_path: Path) -> None:
    online = founded(tmp_path)
    online.add_version("retrained", "digits", 1, DIGEST, FILES, now=T0)
    later = datetime.now(UTC) + timedelta(days=1)
    cleanup.remove_unreachable(online, now=later)
    online.publish(now=T0)
    assert {f"retrained/digits/1/{name}" for name in FILES} == set(read(tmp_path) or ())


def test_a_wall_clock_that_steps_sweeps_nothing_that_was_not_found_unfollowed_for_long_enough(tmp_path: Path) -> None:
    """An import under way has written files that no metadata names yet."""
    online = founded(tmp_path)
    files.write(tmp_path / "repository/targets/imported/digits/1/aa.model.onnx", b"on its way")
    a_year_on = datetime.now(UTC) + timedelta(days=365)
    assert cleanup.remove_unreachable(online, now=a_year_on, unfollowed_s=lambda path: 3599.0) == 0
    assert cleanup.remove_unreachable(online, now=a_year_on, unfollowed_s=lambda path: 3600.0) > 0
