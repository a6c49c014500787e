"""Runs `skerry.agent.update.fetch_process` as a child and believes its verdict, or draws one from how it died.

A child that was killed while it tried the model (an illegal instruction, no memory) condemns the version; one that died
while it fetched says nothing of it. The child's environment is made here, so none of ours leaks into it.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skerry.agent.update import compatibility, fetch_process, update_plan, updater

_MAX_LINE_BYTES = 64 << 10
_MAX_ERROR_BYTES = 2_000
COMMAND = (sys.executable, "-m", "skerry.agent.update.fetch_process")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where versions come from and what is believed of it. `trust_state` is this node's folder of trusted metadata,
    `identity` that of its certificate (None: the repository asks for none)."""

    url: str
    trust_root: Path
    trust_state: Path
    identity: Path | None = None


def environment() -> dict[str, str]:
    """All that a child is told: where our code is, one thread, and no word to the runtime's maker."""
    path = ":".join(filter(None, sys.path))
    return {"PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}


class Fetcher:
    """An `updater.Fetch`. `clock` is wall time in seconds: it may be wrong, the trust client knows."""

    def __init__(
        self,
        repository: Repository,
        limits: compatibility.Limits,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 300.0,
        memory_bytes: int = 2 << 30,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._repository, self._limits, self._clock = repository, limits, clock
        self._timeout_s, self._memory_bytes, self._command = timeout_s, memory_bytes, command

    async def __call__(self, wanted: update_plan.Assignment, folder: Path, max_bytes: int) -> updater.Outcome:
        """Fetch, verify and try one version into `folder`."""
        job = fetch_process.Job(
            target_path=wanted.target_path,
            digest=wanted.digest,
            folder=str(folder),
            max_bytes=max_bytes,
            trust_state=str(self._repository.trust_state),
            trust_root=str(self._repository.trust_root),
            repository_url=self._repository.url,
            identity=str(self._repository.identity or ""),
            now_unix_s=self._clock(),
            timeout_s=self._timeout_s,
            memory_bytes=self._memory_bytes,
            **asdict(self._limits),
        )
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
                limit=_MAX_LINE_BYTES,
            )
        except OSError as exc:
            return updater.Outcome("FETCH_FAILED", f"cannot start the fetching process: {exc.strerror}")
        try:
            return await self._verdict(child, json.dumps(asdict(job)).encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _verdict(self, child: asyncio.subprocess.Process, job: bytes) -> updater.Outcome:
        lines: list[dict[str, Any]] = []
        last_words = asyncio.ensure_future(_tail(child.stderr))
        try:
            async with asyncio.timeout(self._timeout_s):
                await _feed(child, job)
                async for line in _lines(child.stdout):
                    lines.append(line)
                code, told = await child.wait(), await last_words
        except TimeoutError:
            return _timed_out(_is_testing(lines), self._timeout_s)
        finally:
            last_words.cancel()
        last = lines[-1] if lines else {}
        if code == 0 and "state" in last:
            return updater.Outcome(str(last["state"]), str(last.get("reason", "")))
        return _died(_is_testing(lines), code, told)


def _is_testing(lines: Sequence[dict[str, Any]]) -> bool:
    return any(line.get("phase") == "testing" for line in lines)


def _timed_out(testing: bool, timeout_s: float) -> updater.Outcome:
    if testing:
        return updater.Outcome("REFUSED", f"the self-test did not end in {timeout_s:.0f} s")
    return updater.Outcome("FETCH_FAILED", f"fetching did not end in {timeout_s:.0f} s")


def _died(testing: bool, code: int, told: str) -> updater.Outcome:
    how = f"ended with code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = f"was killed by {signal.Signals(-code).name}"
    if testing:
        hint = {-signal.SIGILL: ": this CPU cannot run it", -signal.SIGKILL: ": most likely there is no memory for it"}
        return updater.Outcome("REFUSED", f"the process that tried it {how}{hint.get(code, '')}. {told}".rstrip())
    return updater.Outcome("FETCH_FAILED", f"the fetching process {how}. {told}".rstrip())


async def _feed(child: asyncio.subprocess.Process, job: bytes) -> None:
    if child.stdin is not None:
        with contextlib.suppress(ConnectionError):  # it died at once: its code tells
            child.stdin.write(job)
            await child.stdin.drain()
        child.stdin.close()


async def _lines(stream: asyncio.StreamReader | None) -> Any:
    """JSON objects, one a line; anything else is not ours."""
    if stream is None:
        return
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than any line of ours
            continue
        if not line:
            return
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """The last words of standard error, read to its end so that the child never waits for us."""
    kept = b""
    while stream is not None and (chunk := await stream.read(4096)):
        kept = (kept + chunk)[-_MAX_ERROR_BYTES:]
    lines = kept.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
