"""The dashboard as a process of its own, over an object store on disk, without Redis."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODULE = [sys.executable, "-m", "skerry.dashboard.main"]


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}/"


def environment(folder: Path, **variables: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
    ours = {"SKERRY_OBJECTS": f"sqlite://{folder}/objects.db", "SKERRY_REDIS_URL": f"unix://{folder}/nobody.sock"}
    return plain | {"PYTHONPATH": os.pathsep.join(sys.path)} | ours | variables


@contextlib.contextmanager
def started(folder: Path, **variables: str) -> Iterator[Running]:
    """Ready to serve; killed at the end unless it ended by itself."""
    process = subprocess.Popen(
        MODULE, env=environment(folder, **variables), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = json.loads(line) if line else {}
        assert ready.get("event") == "ready", f"it ended with {process.wait(10)} before it was ready"
        yield Running(process, ready["http"])
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
