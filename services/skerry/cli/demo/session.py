"""The running demo: the system, the cameras, the log of what happens, and the commands a user would type."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from skerry.adapters import blobs, objects
from skerry.cli.demo import digits_model, event_log, live_view, results
from skerry.cli.demo.event_log import Event, Snapshot
from skerry.cli.demo.traffic import Camera, Scene, Traffic
from skerry.cli.system import fleet
from skerry.cli.system.supervisor import System
from skerry.core import errors

SNAPSHOT_EVERY_S = 0.25
USAGE_EVERY_S = 2.0


class Session:
    """Everything the demo runs on. Owns no decision: `phases` and `faults` decide."""

    def __init__(self, system: System, view_console: Any, scene: Scene, rate: float) -> None:
        self.system, self.rate = system, rate
        self.events: list[Event] = []
        self.seen = Snapshot()
        self.versions: dict[str, list[tuple[float, int]]] = {}
        self.digests: dict[str, list[str]] = {}  # every digest each node has ever reported, in order
        self.peak_bytes: dict[str, int] = {}
        self.peak_total_bytes = 0
        self.cpu_s: dict[str, float] = {}
        self._scene, self._started = scene, time.monotonic()
        self.traffic: Traffic | None = None
        self.view = live_view.View(view_console, self._gauges)
        self._tasks: list[asyncio.Task[None]] = []
        self._traffic_task: asyncio.Task[None] | None = None
        self._objects = objects.open_objects(system.layout.objects_url)
        self.blobs = blobs.open_blobs(system.layout.blobs_url)

    # ---- time and events

    def now(self) -> float:
        return time.monotonic() - self._started

    def tell(self, kind: str, text: str) -> None:
        event = Event(self.now(), kind, text)
        self.events.append(event)
        self.view.tell(event)

    def begin(self) -> None:
        """Let commands find the system; start to follow the objects, the memory and the life of the processes."""
        fleet.introduce(self.system, self._objects)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._measure())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            seen = await asyncio.to_thread(event_log.take_snapshot, self._objects)
            for kind, text in event_log.changes(self.seen, seen):
                self.tell(kind, text)
            self.seen = seen
            for node, (digest, version) in event_log.nodes_on(seen, digits_model.MODEL).items():
                if digest and self.digests.setdefault(node, [""])[-1] != digest:
                    self.digests[node].append(digest)
                    self.versions.setdefault(node, []).append((self.now(), version))
            await asyncio.sleep(SNAPSHOT_EVERY_S)

    async def _measure(self) -> None:
        while True:
            usage = await asyncio.to_thread(self.system.usage)
            for name, (memory, cpu_s) in usage.items():
                self.peak_bytes[name] = max(memory, self.peak_bytes.get(name, 0))
                self.cpu_s[name] = cpu_s
            self.peak_total_bytes = max(self.peak_total_bytes, sum(memory for memory, _ in usage.values()))
            for name in self.system.revive(time.monotonic()):
                self.tell("fault", f"{name} had ended and was started again")
            await asyncio.sleep(USAGE_EVERY_S)

    # ---- the cameras

    def start_cameras(self) -> None:
        """The cameras start to send."""
        cameras = [Camera(node, f"127.0.0.1:{self.system.ports.agents[node][0]}") for node in self.system.nodes]
        self.traffic = Traffic(digits_model.MODEL, cameras, self._scene, rate=self.rate, started=self._started)
        self._traffic_task = asyncio.get_running_loop().create_task(self.traffic.run())

    async def stop_cameras(self) -> None:
        """The cameras stop; every request that was sent is answered or recorded as lost."""
        if self._traffic_task is not None:
            self._traffic_task.cancel()
            await asyncio.gather(self._traffic_task, return_exceptions=True)
            self._traffic_task = None

    def scene(self, **changes: Any) -> None:
        """Change what the cameras see, or under which phase it is recorded."""
        for name, value in changes.items():
            setattr(self._scene, name, value)

    def _gauges(self) -> live_view.Gauges:
        if self.traffic is None:
            return {}
        recent = [answer for answer in self.traffic.answers[-400:] if answer.at_s > self.now() - 4 and not answer.error]
        count = len(recent)
        lost = sum(bool(answer.error) for answer in self.traffic.answers)
        versions = ", ".join(f"{node} v{moves[-1][1]}" for node, moves in sorted(self.versions.items()))
        return {
            "phase": self._scene.phase,
            "requests": f"{len(self.traffic.answers):,}",
            "lost": str(lost),
            "edge accuracy": f"{results.ratio(sum(answer.local == answer.label for answer in recent), count):.2f}",
            "answers": f"{results.ratio(sum(answer.answered == answer.label for answer in recent), count):.2f}",
            "offloaded": f"{results.ratio(sum(answer.route == 'cloud' for answer in recent), count):.0%}",
            "serving": versions,
        }

    # ---- what a user would do

    async def skerry(self, *arguments: str) -> str:
        """Run a `skerry` command against this system, as a user would. Raises UnavailableError with what it printed."""
        environment = {**os.environ, "SKERRY_STATE_DIR": str(self.system.layout.root)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "skerry.cli.main",
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if process.returncode:
            said = (err or out).decode(errors="replace").strip()
            raise errors.UnavailableError(f"`skerry {' '.join(arguments)}` ended with {process.returncode}: {said}")
        return out.decode()

    async def skerry_json(self, *arguments: str) -> Any:
        return json.loads(await self.skerry(*arguments, "--json"))

    async def until(self, what: str, reached: Callable[[Snapshot], bool], timeout_s: float) -> None:
        """Wait until the objects say so. Raises UnavailableError that tells what was waited for and what was seen."""
        self.view.step(f"waiting until {what}")
        end = time.monotonic() + timeout_s
        while not reached(self.seen):
            if time.monotonic() > end:
                raise errors.UnavailableError(
                    f"waited {timeout_s:.0f} s until {what}, without success: {_state(self.seen)}"
                )
            await asyncio.sleep(0.1)

    async def play(self, seconds: float, what: str) -> None:
        self.view.step(what)
        await asyncio.sleep(seconds)


def _state(seen: Snapshot) -> str:
    """The newest run and rollout in words, for an error."""
    parts: list[str] = []
    for kind in ("TrainingRun", "ModelRollout"):
        for thing in event_log.newest(seen.of(kind))[-1:]:
            parts.append(f"{kind} {thing.name}: {thing.status.get('phase', '')} {thing.status.get('conditions', [])}")
    return "; ".join(parts) or "no run and no rollout exist"


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, indent=2))
    return path


def all_nodes_on(snapshot: Snapshot, digest: str, nodes: Sequence[str]) -> bool:
    return all(event_log.nodes_on(snapshot, digits_model.MODEL).get(node, ("", 0))[0] == digest for node in nodes)
