"""Without a free file descriptor: what needs one says so and is tried again; nothing ends, and nothing is lost."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import agent_cascade
import pytest

from skerry.adapters import files
from skerry.agent import handover
from skerry.agent.capture import spool
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.update import version_store
from skerry.agent.update.ledger import Ledger
from skerry.core import errors


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """From here on nothing can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.open("/", os.O_RDONLY)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


STORE: dict[str, Callable[[version_store.VersionStore, version_store.Slot], Any]] = {
    "what is not needed is removed": lambda store, slot: store.prune([]),
    "the disk is measured": lambda store, slot: store.size_bytes(),
    "a slot is checked": lambda store, slot: version_store.check(slot),
    "slots are listed": lambda store, slot: list(store.whole_slots()),
}


@pytest.mark.parametrize("use", STORE.values(), ids=list(STORE))
def test_the_version_store_is_unavailable(
    tmp_path: Path, use: Callable[[version_store.VersionStore, version_store.Slot], Any]
) -> None:
    store = version_store.VersionStore(tmp_path)
    slot = agent_cascade.write(tmp_path, 1)
    with no_descriptors(), pytest.raises(errors.UnavailableError, match="Too many open files"):
        use(store, slot)
    version_store.check(slot)


def test_a_ledger_takes_no_entry_and_keeps_what_it_has(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.raise_epoch(3)
    with no_descriptors(), pytest.raises(errors.UnavailableError, match="Too many open files"):
        ledger.raise_epoch(4)
    assert ledger.raise_epoch(5)
    assert Ledger(tmp_path / "ledger").epoch == 5


async def test_the_spool_opens_later_and_is_not_taken_for_damaged(tmp_path: Path) -> None:
    thread = SpoolThread(tmp_path / "spool.db", spool.Limits(), lambda: "now")
    await thread.call(lambda opened: None)
    await thread.close()
    again = SpoolThread(tmp_path / "spool.db", spool.Limits(), lambda: "now")
    await asyncio.get_running_loop().run_in_executor(again._thread, lambda: None)  # its thread is there
    with no_descriptors(), pytest.raises(errors.UnavailableError):
        await again.call(lambda opened: None)
    await again.call(lambda opened: None)
    await again.close()
    assert os.listdir(tmp_path) == ["spool.db"]


async def test_who_stands_by_goes_on_standing_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_POLL_S", 0.0)
    first, second = handover.StateLock(tmp_path), handover.StateLock(tmp_path)
    assert first.try_acquire()
    followed: list[int] = []
    exhausted, tried = contextlib.ExitStack(), asyncio.Event()

    async def follow() -> None:
        followed.append(len(followed))
        if len(followed) == 1:
            exhausted.enter_context(no_descriptors())
            files.read(tmp_path / "lock", max_bytes=1 << 20)
        if len(followed) == 2:
            exhausted.close()
            tried.set()
            first.release()

    await handover.until_held(second, tmp_path / "ledger", follow)
    assert followed == [0, 1] and second.is_held
    second.release()
