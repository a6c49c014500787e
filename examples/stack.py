"""The local system that an example runs on, as `skerry up` starts it, and the commands that an operator would type."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from skerry.adapters import objects
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.system import fleet
from skerry.cli.system.layout import Layout
from skerry.cli.system.supervisor import System
from skerry.core import errors

_LOOK_S = 0.25
_REJECTED = 3  # the exit code of a policy's no
_METRIC = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
Tell = Callable[[str], None]


class Stack:
    """Use as a context manager: leaving it stops every process. What happens to the objects is told as it is seen."""

    def __init__(self, state: Path, nodes: int, tell: Tell) -> None:
        self.system = System(Layout(state), [f"edge-{number + 1}" for number in range(nodes)])
        self._tell, self._seen, self._objects = tell, Snapshot(), objects.open_objects(self.system.layout.objects_url)

    def __enter__(self) -> "Stack":
        try:
            self.system.start()
            fleet.introduce(self.system, self._objects)
        except BaseException:
            self.system.stop()
            raise
        self._tell(f"{len(self.system.processes)} processes are up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.system.stop()

    @property
    def nodes(self) -> dict[str, str]:
        """The agents' `host:port` by node."""
        return {node: f"127.0.0.1:{self.system.ports.agents[node][0]}" for node in self.system.nodes}

    def look(self) -> Snapshot:
        """All objects now; what changed since the last look is told."""
        now = event_log.take_snapshot(self._objects)
        for _, text in event_log.changes(self._seen, now):
            self._tell(text)
        self._seen = now
        return now

    def until(self, what: str, reached: Callable[[Snapshot], bool], timeout_s: float) -> Snapshot:
        """Raises UnavailableError when the objects do not say so in time."""
        end = time.monotonic() + timeout_s
        while not reached(seen := self.look()):
            if time.monotonic() > end:
                raise errors.UnavailableError(f"waited {timeout_s:.0f} s until {what}, without success")
            time.sleep(_LOOK_S)
        return seen

    def skerry(self, *arguments: str) -> str:
        """Run a `skerry` command against this system. Raises, with what it printed, RejectedError where a policy (gates
        are one) said no, and UnavailableError otherwise."""
        done = subprocess.run(
            [sys.executable, "-m", "skerry.cli.main", *arguments],
            env={**os.environ, "SKERRY_STATE_DIR": str(self.system.layout.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            kind = errors.RejectedError if done.returncode == _REJECTED else errors.UnavailableError
            raise kind(f"`skerry {' '.join(arguments)}` ended with {done.returncode}: {said}")
        return done.stdout

    def skerry_json(self, *arguments: str) -> Any:
        return json.loads(self.skerry(*arguments, "--json"))

    def metrics(self, node: str) -> dict[str, float]:
        """What an agent counts itself, by `name{labels}`. Raises UnavailableError."""
        port = self.system.ports.agents[node][1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                lines = reply.read(1 << 20).decode().splitlines()
        except OSError as exc:
            raise errors.UnavailableError(f"{node} does not tell its metrics: {exc}") from exc
        found = (_METRIC.match(line) for line in lines)
        return {f"{one[1]}{{{one[2] or ''}}}": float(one[3]) for one in found if one}

    def cpu_s(self) -> float:
        """CPU seconds of all processes so far, with their children that have ended."""
        return sum(cpu for _, cpu in self.system.usage().values())


def has_ended(thing: Object) -> bool:
    return event_log.condition(thing, "Succeeded").get("status") in ("True", "False")


def moving(seen: Snapshot) -> bool:
    """Is a rollout on its way?"""
    return not all(map(has_ended, seen.of("ModelRollout").values()))
