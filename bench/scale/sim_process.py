"""A process of simulated agents, told what to do by JSON lines on its input and answering each with one on its output.

python -m bench.scale.sim_process CONFIG
"""

import asyncio
import concurrent.futures
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # before grpc, as in agent.main: children are only started

import uvloop

from bench.scale import sim_agent, uploads
from skerry.adapters import descriptors
from skerry.agent import enrol
from skerry.agent.membership import Identity
from skerry.agent.update import compatibility, fetcher, update_plan
from skerry.agent.update.states import State
from skerry.core import backoff, errors

Answer = Mapping[str, Any]
_ENROL_THREADS = 8
DOWNLOAD_EVERY = 100


@dataclass(frozen=True, slots=True)
class Config:
    """`names` of the agents; files lie below `folder`. `rows` of an upload."""

    folder: str
    names: Sequence[str]
    gateways: Sequence[str]
    enrol: Sequence[str]
    repository: str
    token: str
    beat_s: float
    ledger: str
    seed: int
    rows: int = 4


@dataclass
class Counts:
    enrol_tries: int = 0
    enrolled: int = 0
    not_enrolled: list[str] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


class Simulation:
    def __init__(self, config: Config) -> None:
        self._config, self._counts = config, Counts()
        self._log = Path(config.ledger).open("a", buffering=1)  # noqa: SIM115  # as long as the process
        self._draw = random.Random(config.seed)
        self._world = sim_agent.World(
            config.gateways, config.beat_s, 5.0, (0.2, 2.0), (0.2, 1.0),
            lambda entry: void(self._log.write(entry.to_line())), self._draw,
        )  # fmt: skip
        self._agents: list[sim_agent.Agent] = []
        self._running: set[asyncio.Task[None]] = set()
        self._uploads_per_s, self._uploaded = 0.0, 0

    async def handle(self, command: Mapping[str, Any]) -> Answer:
        does: Mapping[str, Callable[[], Awaitable[None]]] = {
            "enrol": self._enrol, "start": self._start, "cut": self._cut, "join": self._join, "status": _nothing,
            "stop": self._stop,
        }  # fmt: skip
        if command["do"] == "uploads":
            self._uploads_per_s = float(command["per_s"])
        elif command["do"] == "bad":
            self._world.bad[command["digest"]] = float(command["share"])
        else:
            await does[command["do"]]()
        return self._status()

    def _status(self) -> Answer:
        agents, counts = self._agents, self._counts
        return {
            "connected": sum(agent.loop.is_connected for agent in agents),
            "connected_to": dict(Counter(str(agent.gateway) for agent in agents if agent.gateway is not None)),
            "serving": sim_agent.serving(agents),
            "failed_downloads": sum(agent.failed_downloads for agent in agents),
            "enrolled": counts.enrolled,
            "enrol_tries": counts.enrol_tries,
            "not_enrolled": counts.not_enrolled[:5],
            "uploads": {"accepted": counts.accepted, "refused": counts.refused, "failed": counts.failed},
            "upload_reasons": counts.reasons,
        }

    # ---- enrolment

    async def _enrol(self) -> None:
        threads = concurrent.futures.ThreadPoolExecutor(_ENROL_THREADS)
        await asyncio.gather(*(self._enrol_one(threads, at) for at in range(len(self._config.names))))
        threads.shutdown()

    async def _enrol_one(self, threads: concurrent.futures.Executor, at: int) -> None:
        """As `agent.membership` does: tried again with growing pauses."""
        config, failures = self._config, 0
        while True:
            address = config.enrol[(at + failures) % len(config.enrol)]
            job = enrol.Job(str(self._identity(at)), config.names[at], address, config.token)
            self._counts.enrol_tries += 1
            state, reason = await asyncio.get_running_loop().run_in_executor(threads, enrol.run, job)
            if state == enrol.ENROLLED:
                self._counts.enrolled += 1
                return
            if state == enrol.REFUSED:
                self._counts.not_enrolled.append(f"{config.names[at]}: {reason}")
                return
            await asyncio.sleep(backoff.delay_s(failures, base_s=1.0, cap_s=60.0, u=self._draw.random()))
            failures += 1

    def _identity(self, at: int) -> Path:
        return Path(self._config.folder) / "agents" / self._config.names[at] / "identity"

    # ---- the fleet

    async def _start(self) -> None:
        for at, name in enumerate(self._config.names):
            number = int(name.rpartition("-")[2])
            download = self._downloader(at) if number % DOWNLOAD_EVERY == 0 else None
            identity = Identity(self._identity(at))
            self._agents.append(sim_agent.Agent(name, self._world, identity, at % len(self._config.gateways), download))
        for agent in self._agents:
            self._run(agent.run())
        self._run(self._upload())

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)

    def _downloader(self, at: int) -> sim_agent.Download:
        """The agent's own fetcher: TUF over TLS, verified and tried in a process of its own."""
        folder = self._identity(at).parent
        (folder / "trust").mkdir(parents=True, exist_ok=True)
        identity = Identity(self._identity(at))
        source = fetcher.Repository(self._config.repository, identity.trust_root, folder / "trust", identity.folder)
        fetch = fetcher.Fetcher(source, compatibility.Limits("1.32.0", 11, 24))

        async def download(wanted: update_plan.Assignment) -> State:
            place = folder / "versions" / str(wanted.version)
            place.mkdir(parents=True, exist_ok=True)
            outcome = await fetch(wanted, place, 1 << 26)
            if outcome.state is not State.STAGED:
                print(outcome, file=sys.stderr, flush=True)
            return outcome.state

        return download

    async def _cut(self) -> None:
        self._world.is_cut = True
        await asyncio.gather(*(agent.cut() for agent in self._agents))

    async def _join(self) -> None:
        self._world.is_cut = False

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _upload(self) -> None:
        """`uploads_per_s` requests of agents in turn, each at most once at a time."""
        due_s = time.monotonic()
        waiting: set[asyncio.Task[None]] = set()
        while True:
            if self._uploads_per_s <= 0:
                await asyncio.sleep(0.1)
                due_s = time.monotonic()
                continue
            due_s += 1 / self._uploads_per_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            agent = self._draw.choice(self._agents)
            if agent.serving is None or not agent.loop.is_connected or len(waiting) >= 64:
                continue
            task = asyncio.ensure_future(self._upload_of(agent, agent.serving.digest))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    async def _upload_of(self, agent: sim_agent.Agent, digest: str) -> None:
        rows = self._config.rows
        self._uploaded += rows
        bad = self._world.bad.get(digest, 0.0)
        made = uploads.request(agent.name, digest, self._uploaded, rows, self._draw, bad_share=bad)
        try:
            reply = await agent.client.upload(made)
        except errors.SkerryError:
            self._counts.failed += 1
            return
        self._counts.accepted += len(reply.accepted)
        self._counts.refused += len(reply.refused)
        for refused in reply.refused:
            reason = refused.reason[:200]
            if reason in self._counts.reasons or len(self._counts.reasons) < 5:
                self._counts.reasons[reason] = self._counts.reasons.get(reason, 0) + 1


async def _nothing() -> None:
    """The answer is all that is asked for."""


def void(_: object) -> None:
    """Takes what nobody needs."""


async def main(config: Config) -> None:
    simulation, loop = Simulation(config), asyncio.get_running_loop()
    commands: asyncio.Queue[str] = asyncio.Queue()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, line)
        loop.call_soon_threadsafe(commands.put_nowait, "")

    threading.Thread(target=listen, daemon=True).start()
    while line := await commands.get():
        print(json.dumps(await simulation.handle(json.loads(line))), flush=True)


if __name__ == "__main__":
    descriptors.raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Config(**json.loads(Path(sys.argv[1]).read_text()))))
