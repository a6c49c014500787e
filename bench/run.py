"""One run of a plan: starts the servers of a group, waits until each gives the right answer, measures their cells round
by round in turn, and sums up. What cannot start is reported with its reason and left out.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import build, certificates, floor, models, processes, servers
from bench.generator import Generator, Target
from bench.models import Model
from bench.plan import FLOOR, Plan
from bench.results import VARYING, Cell, Footprint, Row, Sample, summed_up

_START_S = 60.0
_RAW = (FLOOR, "raw-ort-python")
Key = tuple[str, str, bool]  # what one process serves: server, model, tls
Say = Callable[[str], None]


@dataclass(slots=True)
class Subject:
    """Something that is measured: a server under load, or the floor's loop."""

    measure: Callable[[Cell, float], Sample]
    pids: Callable[[], Sequence[int]]
    ready_s: float


@dataclass(frozen=True, slots=True)
class Bench:
    """`folder` is scratch, `repository` the folder of all models, `bodies` files of requests by (model, form)."""

    world: servers.World
    generator: Generator
    models: Mapping[str, Model]
    folder: Path
    repository: Path
    cores: processes.Cores
    pair: certificates.Pair
    bodies: Mapping[tuple[str, str], Sequence[Path]]
    say: Say

    def run(self, plan: Plan) -> tuple[list[Row], dict[str, str]]:
        """(rows, why a server is missing)."""
        rows: list[Row] = []
        missing: dict[str, str] = {}
        for name, cells in plan.groups.items():
            with contextlib.ExitStack() as stack:
                subjects = self._start(name, cells, stack, missing)
                rows += self._measure(plan, [cell for cell in cells if _key(cell) in subjects], subjects, missing)
        return rows, missing

    def _start(
        self, group: str, cells: Sequence[Cell], stack: contextlib.ExitStack, missing: dict[str, str]
    ) -> dict[Key, Subject]:
        subjects: dict[Key, Subject] = {}
        for server, model, tls in dict.fromkeys(map(_key, cells)):
            try:
                subject = self._floor(server, model) if server in _RAW else self._server(server, model, tls)
                subjects[server, model, tls] = stack.enter_context(subject)
            except (servers.NotAvailableError, build.NotBuiltError, RuntimeError) as exc:
                missing.setdefault(server, str(exc))
                self.say(f"{group}: {server} is left out: {exc}")
        return subjects

    def _measure(
        self, plan: Plan, cells: Sequence[Cell], subjects: Mapping[Key, Subject], missing: dict[str, str]
    ) -> list[Row]:
        samples: dict[Cell, list[Sample]] = {}
        for number in range(plan.rounds):
            self.say(f"{cells[0].model if cells else ''}: round {number + 1} of {plan.rounds}, {len(cells)} cells")
            for cell in cells:
                try:
                    samples.setdefault(cell, []).append(subjects[_key(cell)].measure(cell, plan.seconds))
                except RuntimeError as exc:
                    missing.setdefault(cell.server, str(exc))
                    self.say(f"{cell}: {exc}")
        rows = []
        for cell, rounds in samples.items():
            subject = subjects[_key(cell)]
            if rounds:
                rows.append(summed_up(cell, rounds, Footprint(processes.rss_mb(subject.pids()), subject.ready_s)))
        return rows

    @contextlib.contextmanager
    def _floor(self, server: str, name: str) -> Iterator[Subject]:
        model, row = self.models[name], self.folder / f"{name}.row"
        row.write_bytes(model.inputs[0].tobytes())
        if server == FLOOR:
            command = floor.command_in_c(self.world.builder, model, row)
        else:
            command = floor.command_in_python(model, row)
        began = time.perf_counter()
        environment = {"PYTHONPATH": f"{servers.REPOSITORY}:{servers.REPOSITORY / 'services'}"}
        with floor.running(command, self.cores.server, environment) as loop:
            ready_s = time.perf_counter() - began
            yield Subject(lambda _cell, seconds: loop.measure(seconds), lambda: [loop.pid], ready_s)

    @contextlib.contextmanager
    def _server(self, server: str, name: str, tls: bool) -> Iterator[Subject]:
        wanted = servers.Wanted(
            processes.free_port(),
            name,
            self.models.get(name),
            self.repository,
            self.pair if tls else None,
        )
        launch = servers.SERVERS[server](wanted, self.world)
        bodies = self.bodies[name, launch.requests]
        target = Target(
            launch.port,
            launch.path,
            bodies,
            tls,
            launch.http1,
            launch.content_type,
            launch.headers,
            launch.reply_sizes,
        )
        environment = {**_calm_environment(), **launch.environment}
        log = self.folder / f"{server}-{name}-{'tls' if tls else 'clear'}.log"
        began = time.perf_counter()
        with processes.running(launch.command, environment, self.cores.server, log) as process:
            self._wait(target, name, launch, process.poll, log, began)
            ready_s = time.perf_counter() - began

            def measure(cell: Cell, seconds: float) -> Sample:
                pids, varies = processes.tree(process.pid), cell.deadlines == VARYING
                return self.generator.measure(target, pids, cell.connections, seconds, deadlines=varies)

            yield Subject(measure, lambda: processes.tree(process.pid), ready_s)

    def _wait(
        self,
        target: Target,
        name: str,
        launch: servers.Launch,
        ended: Callable[[], int | None],
        log: Path,
        began: float,
    ) -> None:
        """Until the first good answer, which must be the right one."""
        while time.perf_counter() - began < _START_S:
            if ended() is not None:
                break
            if _listens(target.port):
                reply = self.generator.first_reply(target, self.folder / "reply")
                if reply is not None:
                    _check(reply, name, launch.requests, target.bodies[0], self.models.get(name))
                    return
            time.sleep(0.005)
        output = log.read_text(errors="replace")[-600:].strip()
        raise RuntimeError(f"it did not answer within {_START_S:.0f} s: {output}")


def _key(cell: Cell) -> Key:
    return cell.server, cell.model, cell.tls


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check(reply: bytes, name: str, requests: str, body: Path, model: Model | None) -> None:
    if model is None:
        if reply != body.read_bytes():
            raise RuntimeError("its echo is not what was sent")
        return
    logits = models.oip_logits(reply) if requests == "oip" else models.json_logits(reply)
    if logits.shape != model.logits[0].shape or not np.allclose(logits, model.logits[0], rtol=1e-3, atol=1e-4):
        raise RuntimeError(f"its answer for {name} is not the model's: {logits[:4]}…, not {model.logits[0][:4]}…")


def _calm_environment() -> dict[str, str]:
    """Ours without what would change a server: settings, and more threads than its one core can use."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKERRY_", "ORT_", "PYTHON"))}
    return kept | {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
