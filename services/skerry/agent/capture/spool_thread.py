"""The one thread that may touch the spool. It opens the file when it is first needed, and again after damage.

Callers hand a function to `call`. A spool that cannot be opened or written (disk full) makes that call
fail and nothing else: the next call tries again, so capture resumes by itself and inference never notices.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from skerry.agent.capture import spool, spool_recovery
from skerry.agent.capture.spool_damage import DamagedSpoolError

T = TypeVar("T")


class SpoolThread:
    """`counts` is the spool as it was after the last call: reading it touches no disk.

    `moved_suffix()` names a damaged file that is moved aside (for people: a time).
    """

    def __init__(self, path: Path, limits: spool.Limits, moved_suffix: Callable[[], str]) -> None:
        self.counts = spool.Counts()
        self.has_pending = asyncio.Event()
        self._path, self._limits, self._moved_suffix = path, limits, moved_suffix
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._spool: spool.Spool | None = None

    async def call(self, use: Callable[[spool.Spool], T]) -> T:
        """Run `use` in the spool's thread. Raises what it raises; a damaged spool is recovered and `use` called
        once more. It runs even when its caller is cancelled: a group taken from the queue is not lost at the end."""
        loop = asyncio.get_running_loop()
        result, counts = await asyncio.shield(loop.run_in_executor(self._thread, self._run, use))
        self.counts = counts
        if counts.pending:
            self.has_pending.set()
        else:
            self.has_pending.clear()
        return result

    def moved_aside(self) -> list[Path]:
        """Files of damaged spools that were moved aside, for a closer look."""
        return sorted(self._path.parent.glob(f"{self._path.name}.damaged-*"))

    async def close(self) -> None:
        """Wait for the running call and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _run(self, use: Callable[[spool.Spool], T]) -> tuple[T, spool.Counts]:
        try:
            opened = self._open()
            return use(opened), opened.counts()
        except DamagedSpoolError:
            self._close()
            opened = self._open()
            return use(opened), opened.counts()

    def _open(self) -> spool.Spool:
        if self._spool is None:
            self._spool = spool_recovery.open_spool(self._path, self._limits, moved_suffix=self._moved_suffix())
        return self._spool

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
