"""Serving beside another agent that still holds the state folder, until it lets go of it: when a pod or a package is
updated, the new agent serves before the old one ends.

It writes nothing: it serves what the other one has on the disk, and follows when that changes. Answers to be captured
wait in memory, labels are refused for now, and the gateway hears of the other one alone. Sequences begun there go on
there: a step that comes here is refused, and its sequence is to be started again. What follows when the lock is free is
the composition root's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.telemetry import logs
from skerry.core import errors

log = logs.logger("agent.standby")
_POLL_S = 0.1


class StateLock:
    """The lock of a state folder and the queue for it: one agent holds it, one is next, others wait to be next. The
    next one keeps its place when it is asked to end, so that it can still write what it has captured."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._lock, self._next = files.Lock(self.path), files.Lock(folder / "lock.next")

    @property
    def is_held(self) -> bool:
        """Is the folder ours?"""
        return self._lock.is_held

    def try_acquire(self) -> bool:
        """Take what is free; True when the folder is ours. Raises UnavailableError when it cannot be used."""
        if self.is_held:
            return True
        if not (self._next.take() and self._lock.take()):
            return False
        self._next.release()
        return True

    def release(self) -> None:
        self._next.release()
        self._lock.release()


async def until_held(lock: StateLock, watched: Path, follow: Callable[[], Awaitable[None]]) -> None:
    """Returns when the folder is ours. `follow` is called at once and whenever the file `watched` has changed. What it,
    or the lock, finds unavailable is logged and tried again: serving goes on meanwhile. Raises what else it raises."""
    log.warning(
        "standing_by",
        lock=str(lock.path),
        message="another agent holds the state folder: this one serves beside it and takes over when it ends",
    )
    seen: object = None
    trouble = ""
    while True:
        stamp = _stamp(watched)  # before it is read: what changes meanwhile is read again
        try:
            if seen != (stamp,):
                await follow()
                seen = (stamp,)
            if lock.try_acquire():
                log.info("taking_over", lock=str(lock.path))
                return
        except errors.UnavailableError as exc:
            if str(exc) != trouble:
                trouble = str(exc)
                log.warning("standing_by_waits", message=trouble)
        await asyncio.sleep(_POLL_S)


async def is_held_within(lock: StateLock, timeout_s: float) -> bool:
    """Is the folder ours, after `timeout_s` at the latest?"""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    while not lock.try_acquire():
        if asyncio.get_running_loop().time() >= deadline_s:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
