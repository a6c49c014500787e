"""What a camera's frame costs a server: CPU per request above the network alone, servers interleaved, a grpcio client.

    python -m bench.frames [--rounds 5] [--requests 40] [--only frame-4m] [--json FILE]

Frames of 150 KB (224²×3 UINT8), 602 KB (the same in FP32) and 3.98 MB (576²×3 FP32) go to a network that only averages
its channels, so that what is measured is the way there. One connection, one request at a time.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import build, certificates, environments, floor, machine, models, processes, servers
from bench.main import CACHE
from bench.models import Model

SIZES = {"frame-150k": (224, "UINT8"), "frame-602k": (224, "FP32"), "frame-4m": (576, "FP32")}
SERVERS = ("skerry", "skerry-agent", "grpc-aio", "grpc-sync", "cpp-grpc")
_FRAMES = 4  # different ones, sent in turn
_ASK = Path(__file__).parent / "peers" / "ask.py"


@dataclass(frozen=True, slots=True)
class Row:
    """CPU microseconds of a request, over the rounds; `above_us`: the median less that of the network alone."""

    server: str
    model: str
    tls: bool
    cpu_us: float
    least_us: float
    most_us: float
    above_us: float
    p50_us: float


def make(folder: Path) -> dict[str, Model]:
    """The networks in `folder`, as `models.load` makes its own."""
    for name, (side, datatype) in SIZES.items():
        if not (folder / f"{name}.npz").is_file():
            _make(folder, name, side, datatype)
    return {name: _read(folder, name, datatype) for name, (_, datatype) in SIZES.items()}


def _make(folder: Path, name: str, side: int, datatype: str) -> None:
    from torch import Tensor, nn

    class Averages(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            return frames.float().mean(dim=(2, 3))

    draw, shape = np.random.default_rng(3), (_FRAMES, 3, side, side)
    frames: NDArray[Any] = draw.random(shape, dtype=np.float32)
    if datatype == "UINT8":
        frames = draw.integers(0, 256, shape, dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    models.write(folder, name, Averages(), frames)


def _read(folder: Path, name: str, datatype: str) -> Model:
    with np.load(folder / f"{name}.npz") as kept:
        return Model(name, folder / name / "1" / "model.onnx", datatype, kept["inputs"], kept["logits"])


class Asker:
    """A client in a process of its own on the other core: plain grpcio, as most programs have it."""

    def __init__(self, port: int, bodies: Sequence[Path], core: int, authority: Path | None) -> None:
        command = [sys.executable, str(_ASK), str(port), str(authority or "-"), *map(str, bodies)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    def ask(self, requests: int) -> dict[str, Any]:
        """Raises RuntimeError when the client has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{requests}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the client has ended: its output says why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(slots=True)
class Subject:
    server: str
    pid: int
    asker: Asker

    def measure(self, requests: int) -> tuple[float, float]:
        """(CPU µs of the server per request, median latency in µs)."""
        pids = processes.tree(self.pid)
        before = processes.cpu_us(pids)
        answer = self.asker.ask(requests)
        return (processes.cpu_us(pids) - before) / requests, float(answer["p50_us"])


@contextlib.contextmanager
def _serving(
    server: str, model: Model, world: servers.World, repository: Path, cores: processes.Cores, tls: Any
) -> Iterator[Subject]:
    wanted = servers.Wanted(processes.free_port(), model.name, model, repository, tls)
    launch = servers.SERVERS[server](wanted, world)
    bodies = []
    for at, body in enumerate(models.oip_requests(model)):
        bodies.append(world.scratch / f"{model.name}-{at}")
        bodies[-1].write_bytes(body)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **launch.environment}
    log = world.scratch / f"{server}-{model.name}.log"
    with processes.running(launch.command, environment, cores.server, log) as process:
        asker = Asker(launch.port, bodies, cores.client, tls.certificate if tls else None)
        try:
            answer = asker.ask(_FRAMES)
            _check(answer["first"], model, log)
            yield Subject(server, process.pid, asker)
        finally:
            asker.close()


def _check(first: str, model: Model, log: Path) -> None:
    logits = models.oip_logits(bytes.fromhex(first))
    if not np.allclose(logits, model.logits[0], rtol=1e-3, atol=1e-3):
        raise RuntimeError(f"its answer is not the network's: {logits[:4]}; {log.read_text(errors='replace')[-300:]}")


def measure(
    model: Model, world: servers.World, repository: Path, rounds: int, requests: int, tls: Any = None
) -> list[Row]:
    """All servers of one frame, round by round in turn."""
    cores, row = processes.Cores.choose(), world.scratch / f"{model.name}.row"
    row.write_bytes(model.inputs[0].tobytes())
    names = [name for name in SERVERS if not (tls and name == "skerry-agent")]
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(floor.running(floor.command_in_python(model, row), cores.server, _python()))
        subjects = []
        for name in names:
            try:
                subjects.append(stack.enter_context(_serving(name, model, world, repository, cores, tls)))
            except (servers.NotAvailableError, build.NotBuiltError, RuntimeError) as exc:
                print(f"{name} is left out: {exc}", flush=True)
        taken: dict[str, list[tuple[float, float]]] = {subject.server: [] for subject in subjects}
        network: list[float] = []
        for _ in range(rounds):
            network.append(alone.measure(0.3).cpu_us_per_request)
            for subject in subjects:
                taken[subject.server].append(subject.measure(requests))
    floor_us = statistics.median(network)
    rows = [Row("network alone", model.name, bool(tls), floor_us, min(network), max(network), 0.0, floor_us)]
    for name, samples in taken.items():
        cpu = [sample[0] for sample in samples]
        middle = statistics.median(cpu)
        p50 = statistics.median(sample[1] for sample in samples)
        rows.append(Row(name, model.name, bool(tls), middle, min(cpu), max(cpu), middle - floor_us, p50))
    return rows


def _python() -> dict[str, str]:
    return {"PYTHONPATH": f"{servers.REPOSITORY}:{servers.REPOSITORY / 'services'}"}


def _table(rows: Sequence[Row]) -> str:
    lines = ["| frame | server | CPU µs | spread | above the network | against grpc.aio | p50 µs |", "|" + "---|" * 7]
    for row in rows:
        aio = next((r for r in rows if (r.server, r.model, r.tls) == ("grpc-aio", row.model, row.tls)), None)
        ratio = f"{row.above_us / aio.above_us:.2f}" if aio and row.above_us else "–"
        lines.append(
            f"| {row.model}{' TLS' if row.tls else ''} | {row.server} | {row.cpu_us:,.0f} | "
            f"{row.least_us:,.0f}–{row.most_us:,.0f} | {row.above_us:,.0f} | {ratio} | {row.p50_us:,.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.frames", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--only", choices=SIZES, help="one of the frames")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    repository = CACHE / "frames"
    made = make(repository)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="skerry-frames-") as folder:
        scratch = Path(folder)
        world = servers.World(build.Builder(CACHE), environments.Environments(CACHE / "peers"), scratch)
        pair = certificates.make(scratch)
        for model in (made[name] for name in made if given.only in (None, name)):
            for tls in (None, pair):
                measured = measure(model, world, repository, given.rounds, given.requests, tls)
                print(_table(measured), flush=True)
                rows += measured
    if given.json:
        about = machine.describe(processes.Cores.choose())
        told = {"machine": about, "measured_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
        given.json.write_text(json.dumps(told | {"rows": [dataclasses.asdict(row) for row in rows]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
