"""A short-lived child process for work that must not hurt its parent: what is not trusted, may crash, or is heavy and
seldom needed.

The parent `run`s a module with one JSON job and reads JSON lines; how the child died is explained for people. The child
`serve`s: it bounds its own memory, time and file size before it looks at the job. Its environment is made here, so none
of the parent's leaks into it. What a death means for the job is the caller's to say.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skerry.core import errors

_MAX_JOB_BYTES = 1 << 20
_MAX_LINE_BYTES = 64 << 10
_MAX_LINES = 1_000
_MAX_LAST_WORDS_BYTES = 2_000
_OUT_OF_MEMORY = 77  # exit code of a child that met its own memory limit
_HINTS = {
    -signal.SIGILL: ": this CPU cannot run it",
    -signal.SIGKILL: ": most likely there is no memory for it",
    -signal.SIGPROF: ": one step of it took too long, perhaps a loop without an end",
    -signal.SIGXFSZ: ": it wrote a larger file than it may",
}

Line = dict[str, Any]
Say = Callable[[Line], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout_s` bounds wall time (by the parent) and CPU time (by the child itself), `memory_bytes` the address space
    (0: not bounded), `file_bytes` each file that it writes."""

    timeout_s: float
    memory_bytes: int = 0
    file_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended. `lines`: the JSON objects it wrote. `code`: its exit code, negative for a signal, None
    when it was killed because its time was over. `last_words`: the last line of its standard error."""

    lines: Sequence[Line]
    code: int | None
    last_words: str
    limits: Limits

    @property
    def answer(self) -> Line | None:
        """The last line of a child that ended well; None when it died or said nothing."""
        return self.lines[-1] if self.code == 0 and self.lines else None

    @property
    def how(self) -> str:
        """For people, after "the process …"."""
        if self.code is None:
            return f"did not end in {self.limits.timeout_s:.0f} s"
        if self.code == _OUT_OF_MEMORY:
            return f"needs more than the {self.limits.memory_bytes >> 20} MiB of memory that it may take"
        text = f"ended with code {self.code}"
        if self.code < 0:
            with contextlib.suppress(ValueError):
                text = f"was killed by {signal.Signals(-self.code).name}"
        return f"{text}{_HINTS.get(self.code, '')}. {self.last_words}".rstrip(" .")


def command(module: str) -> tuple[str, ...]:
    """To run `module` in this interpreter."""
    return (sys.executable, "-m", module)


def environment() -> dict[str, str]:
    """All that a child is told: where our code is, one thread, and no word to the runtime's maker."""
    path = ":".join(filter(None, sys.path))
    return {"PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}


async def run(argv: Sequence[str], job: Mapping[str, Any], limits: Limits) -> Ended:
    """Run a child that `serve`s until it ends or its time is over; it does not outlive this call. Raises
    UnavailableError when it cannot be started."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            limit=_MAX_LINE_BYTES,
        )
    except OSError as exc:
        raise errors.UnavailableError(f"cannot start a process: {exc.strerror}") from exc
    lines: list[Line] = []
    reading = asyncio.ensure_future(_last_words(child.stderr))
    try:
        async with asyncio.timeout(limits.timeout_s):
            await _feed(child, json.dumps({"limits": asdict(limits), "job": job}).encode())
            async for line in _lines(child.stdout):
                lines = [*lines[-_MAX_LINES:], line]
            code, last_words = await child.wait(), await reading
        return Ended(lines, code, last_words, limits)
    except TimeoutError:
        return Ended(lines, None, "", limits)
    finally:
        reading.cancel()
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def serve(work: Callable[[Line, Say], Line]) -> None:
    """The `main` of a child: do the job from standard input within its limits. `work(job, say)` returns the answer, and
    may `say` lines before it."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not speak for us

    def say(line: Line) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    request = json.loads(sys.stdin.buffer.read(_MAX_JOB_BYTES))
    bound(Limits(**request["limits"]))
    try:
        answer = work(request["job"], say)
    except MemoryError:
        sys.exit(_OUT_OF_MEMORY)
    with contextlib.suppress(BrokenPipeError):  # the parent has gone
        say(answer)


def bound(limits: Limits) -> None:
    """Bound what this process may take of the machine, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.timeout_s) + 1,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)
    if limits.memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes,) * 2)


@contextlib.contextmanager
def bounded_step(cpu_s: float) -> Iterator[None]:
    """What runs within may take so many seconds of the processor: more kills this process by SIGPROF, whatever runs."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


async def _feed(child: asyncio.subprocess.Process, data: bytes) -> None:
    if child.stdin is not None:
        # It died at once: its code tells. uvloop has closed its standard input by then, and refuses to be written to.
        with contextlib.suppress(ConnectionError, RuntimeError):
            child.stdin.write(data)
            await child.stdin.drain()
        child.stdin.close()


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[Line]:
    """JSON objects, one a line; anything else is not a child's of ours."""
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than any line of ours
            continue
        if not line:
            return
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


async def _last_words(stream: asyncio.StreamReader | None) -> str:
    """The last line of standard error, read to its end so that the child never waits for us."""
    kept = b""
    while stream is not None and (chunk := await stream.read(4096)):
        kept = (kept + chunk)[-_MAX_LAST_WORDS_BYTES:]
    lines = kept.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
