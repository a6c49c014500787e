"""The floor: a network run in a loop by a program that does nothing else, in C or in Python, pinned like a server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import build
from bench.models import Model
from bench.results import Sample


class Floor:
    """A running loop. `measure` is one round."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def measure(self, seconds: float) -> Sample:
        """Raises RuntimeError when the program has ended."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        except BrokenPipeError as exc:
            raise RuntimeError("the floor's program has ended") from exc
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the floor's program has ended")
        return Sample(**json.loads(line))


@contextmanager
def running(command: Sequence[str], core: int, environment: dict[str, str]) -> Iterator[Floor]:
    """Raises RuntimeError when it does not start."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{Path(command[0]).name} did not start")
            yield Floor(process)
        finally:
            process.kill()


def command_in_c(builder: build.Builder, model: Model, row: Path) -> Sequence[str]:
    """Raises NotBuiltError. `row` holds the bytes of one row."""
    sizes = [str(size) for size in model.shape[1:]]
    return [str(builder.floor()), str(model.onnx), str(row), model.datatype, *sizes]


def command_in_python(model: Model, row: Path) -> Sequence[str]:
    sizes = [str(size) for size in model.shape[1:]]
    return [sys.executable, "-m", "bench.peers.raw", str(model.onnx), str(row), model.datatype, *sizes]
