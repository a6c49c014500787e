"""Turns and pace of large bodies: how many are in memory at a time, of how many jobs, and how slow one may be.

A body is in memory as a whole, so there are few turns, and one job has one of them: whoever is slow, on purpose or not,
is slow for himself. A body that falls behind the least pace gives its turn back.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from skerry.core import errors

BODIES_AT_ONCE = 2
WAIT_S = 20.0  # for a turn, before the caller is told to come again
IDLE_S = 30.0  # between two pieces of a body
GRACE_S = 15.0  # before the pace counts
MIN_BYTES_PER_S = 512 << 10  # on average: a job is near the gateway

_T = TypeVar("_T")


class Turns:
    """Lives on one event loop."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(BODIES_AT_ONCE)
        self._of_run: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def one(self, run: str) -> AsyncIterator[None]:
        """A turn for a body of this run, and no other one's is needed for it. Raises OverloadedError after WAIT_S."""
        own = self._of_run.setdefault(run, asyncio.Semaphore(1))
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_S):
                    for turn in (own, self._all):
                        await held.enter_async_context(turn)
            except TimeoutError as exc:
                text = f"another transfer of run {run}" if own.locked() else f"{BODIES_AT_ONCE} transfers of other runs"
                raise errors.OverloadedError(f"{text} went on for {WAIT_S:g} s: try again") from exc
            yield


class Pace:
    """How long the next piece of a body may take. `what` names the body."""

    def __init__(self, what: str) -> None:
        self._what, self._moved = what, 0
        self._began_s = asyncio.get_running_loop().time()

    def moved(self, size_bytes: int) -> None:
        """So much has gone through."""
        self._moved += size_bytes

    async def keep(self, piece: Awaitable[_T]) -> _T:
        """`piece`, when it does not take too long. Raises DeadlineError."""
        elapsed_s = asyncio.get_running_loop().time() - self._began_s
        left_s = GRACE_S + self._moved / MIN_BYTES_PER_S - elapsed_s
        try:
            async with asyncio.timeout(max(0.0, min(IDLE_S, left_s))):
                return await piece
        except TimeoutError as exc:
            if left_s < IDLE_S:
                text = (
                    f"{self._what}: {self._moved} bytes in {elapsed_s:.0f} s are fewer than {MIN_BYTES_PER_S} a second"
                )
                raise errors.DeadlineError(text) from exc
            raise errors.DeadlineError(f"nothing more of {self._what} came for {IDLE_S:g} s") from exc
