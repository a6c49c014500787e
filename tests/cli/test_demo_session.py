"""The demo as it runs, with processes that are none: what it tells, what it measures, what it waits for."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from skerry.adapters import objects
from skerry.adapters.objects.protocol import Objects
from skerry.cli.demo import session as demo_session
from skerry.cli.demo.session import Session
from skerry.cli.demo.traffic import Answer, Scene
from skerry.cli.system.layout import Layout
from skerry.cli.system.process_specs import Ports
from skerry.cli.system.supervisor import System
from skerry.core import errors, writers

PORTS = Ports(gateway=1, gateway_http=2, teacher=3, teacher_http=4, dashboard=5, agents={"edge-1": (6, 7)})


@dataclass
class Processes:
    """A system without processes; `dead` are those that it starts again at the next look."""

    layout: Layout
    ports: Ports
    nodes: tuple[str, ...] = ("edge-1",)
    processes: dict[str, Any] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    memory: int = 5 << 20

    def usage(self) -> Mapping[str, tuple[int, float]]:
        return {"gateway": (self.memory, 1.5), "edge-1": (1 << 20, 0.5)}

    def revive(self, now: float) -> list[str]:
        revived, self.dead = self.dead, []
        return revived


@dataclass
class Demo:
    session: Session
    system: Processes
    store: Objects
    screen: io.StringIO

    async def until(self, what: Callable[[], bool]) -> None:
        while not what():  # noqa: ASYNC110 (what it looks at is no event)
            await asyncio.sleep(0.01)

    async def loads(self, digest: str, version: int) -> None:
        """A gateway writes what edge-1 reports, and the demo has seen it."""
        status = {"connected": True, "models": [{"model": "digits", "digest": digest, "version": version}]}
        self.store.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status=status)
        await self.session.until(
            f"edge-1 is on {digest}", lambda seen: demo_session.all_nodes_on(seen, digest, ["edge-1"]), 30
        )
        await self.until(lambda: len(self.session.versions.get("edge-1", ())) == version)


@asynccontextmanager
async def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Demo]:
    monkeypatch.setattr(demo_session, "SNAPSHOT_EVERY_S", 0.01)
    monkeypatch.setattr(demo_session, "USAGE_EVERY_S", 0.01)
    screen = io.StringIO()
    system = Processes(Layout(folder), PORTS)
    made = Session(cast(System, system), Console(file=screen, width=200), Scene("warm-up", cast(Any, None)), rate=10.0)
    store = objects.open_objects(system.layout.objects_url)
    made.begin()
    try:
        yield Demo(made, system, store, screen)
    finally:
        await made.end()


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, story: Callable[[Demo], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(folder, monkeypatch) as demo:
            await asyncio.wait_for(story(demo), 60)

    asyncio.run(run())


def answer(demo: Demo, *, right: bool = True, route: str = "local", error: str = "") -> Answer:
    now = demo.session.now()
    label = 7 if right else 1
    return Answer(now, "warm-up", "clean", "edge-1", 7, label, label, route, False, 0.9, "d", 1, 0.01, error)


def test_each_version_that_a_node_loads_is_told_and_written_down_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(demo: Demo) -> None:
        demo.store.create("EdgeNode", "edge-1", {}, manager=writers.GATEWAY)
        await demo.loads("sha256:aa", 1)
        await demo.loads("sha256:bb", 2)
        assert demo.session.digests == {"edge-1": ["", "sha256:aa", "sha256:bb"]}
        assert [version for _, version in demo.session.versions["edge-1"]] == [1, 2]
        assert demo.session.events and "edge-1" in demo.screen.getvalue()

    play(tmp_path, monkeypatch, story)


def test_memory_is_the_most_that_was_seen_and_a_process_that_ends_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(demo: Demo) -> None:
        await demo.until(lambda: demo.session.peak_total_bytes == 6 << 20)
        demo.system.memory, demo.system.dead = 1 << 20, ["teacher"]
        await demo.until(lambda: not demo.system.dead and bool(demo.session.events))
        assert demo.session.peak_bytes == {"gateway": 5 << 20, "edge-1": 1 << 20}
        assert demo.session.cpu_s == {"gateway": 1.5, "edge-1": 0.5}
        assert [event.text for event in demo.session.events] == ["teacher had ended and was started again"]

    play(tmp_path, monkeypatch, story)


def test_what_is_waited_for_in_vain_is_told_with_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(demo: Demo) -> None:
        with pytest.raises(errors.UnavailableError, match=r"waited 0 s until pigs fly.*no run and no rollout exist"):
            await demo.session.until("pigs fly", lambda seen: False, 0.2)
        demo.store.create("TrainingRun", "digits-1", {"model": "digits"}, manager=writers.OPERATOR)
        await demo.until(lambda: "digits-1" in demo.session.seen.of("TrainingRun"))
        with pytest.raises(errors.UnavailableError, match="TrainingRun digits-1: "):
            await demo.session.until("pigs fly", lambda seen: False, 0)

    play(tmp_path, monkeypatch, story)


def test_gauges_are_of_the_last_seconds_and_losses_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(demo: Demo) -> None:
        assert demo.session._gauges() == {}
        demo.session.start_cameras()
        traffic = demo.session.traffic
        assert traffic is not None
        await demo.session.stop_cameras()
        await demo.session.stop_cameras()
        traffic.answers[:] = [
            answer(demo),
            answer(demo, right=False, route="cloud"),
            answer(demo, error="UNAVAILABLE"),
        ]
        demo.session.scene(phase="drift")
        demo.session.versions["edge-1"] = [(0.0, 1), (1.0, 2)]
        gauges = demo.session._gauges()
        assert gauges["edge accuracy"] == gauges["answers"] == "0.50"
        assert (gauges["phase"], gauges["lost"], gauges["offloaded"]) == ("drift", "1", "50%")
        assert (gauges["requests"], gauges["serving"]) == ("3", "edge-1 v2")

    play(tmp_path, monkeypatch, story)


def test_a_command_is_run_as_a_user_would_and_its_failure_says_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(demo: Demo) -> None:
        assert await demo.session.skerry_json("models", "list") == []
        with pytest.raises(
            errors.UnavailableError, match=r"`skerry models show nothing` ended with 2: [^$]*No such command"
        ):
            await demo.session.skerry("models", "show", "nothing")
        running = asyncio.create_task(demo.session.skerry("models", "list"))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(tmp_path, monkeypatch, story)
