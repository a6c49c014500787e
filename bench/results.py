"""What was measured, as values: one row per server, model, transport security, connections and kind of deadlines.

`bench/results/latest.json` is these rows with the machine and the versions; readers may rely on its field names.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CONSTANT, NONE, VARYING = "constant", "none", "varying"  # what `deadlines` says


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured. `deadlines`: none, or one that varies per call (as grpc-go writes them)."""

    server: str
    model: str
    tls: bool
    connections: int
    deadlines: str = NONE


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one cell: CPU time of the server's processes and what the generator saw."""

    cpu_us_per_request: float
    p50_us: float
    p99_us: float
    rps: float
    errors: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of a server once it answers: resident memory, and seconds from its start to its first answer."""

    rss_mb: float
    ready_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds, errors of all; `cpu_us_least` and `cpu_us_most` are the spread of the rounds."""

    server: str
    model: str
    tls: bool
    connections: int
    cpu_us_per_request: float
    p50_us: float
    p99_us: float
    rps: float
    rss_mb: float
    ready_s: float
    errors: int
    deadlines: str = NONE
    cpu_us_least: float = 0.0
    cpu_us_most: float = 0.0
    rounds: int = 0

    @property
    def cell(self) -> Cell:
        return Cell(self.server, self.model, self.tls, self.connections, self.deadlines)


@dataclass(frozen=True, slots=True)
class Results:
    """`missing` says of servers without rows why they have none. `side` holds rows that are beside the question: what
    is on the way, but not one of the servers compared."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    rows: Sequence[Row]
    missing: Mapping[str, str]
    side: Sequence[Row] = ()
    kind: str = "full"
    measured_at: str = ""


def summed_up(cell: Cell, samples: Sequence[Sample], footprint: Footprint) -> Row:
    """Raises statistics.StatisticsError without samples."""
    cpu = [sample.cpu_us_per_request for sample in samples]
    return Row(
        cell.server,
        cell.model,
        cell.tls,
        cell.connections,
        round(statistics.median(cpu), 2),
        round(statistics.median(sample.p50_us for sample in samples), 1),
        round(statistics.median(sample.p99_us for sample in samples), 1),
        round(statistics.median(sample.rps for sample in samples), 1),
        round(footprint.rss_mb, 1),
        round(footprint.ready_s, 3),
        sum(sample.errors for sample in samples),
        cell.deadlines,
        round(min(cpu), 2),
        round(max(cpu), 2),
        len(samples),
    )


def write(results: Results, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(results), indent=1) + "\n")


def read(file: Path) -> Results:
    fields = json.loads(file.read_text())
    rows, side = ([Row(**row) for row in fields.pop(name)] for name in ("rows", "side"))
    return Results(**fields, rows=rows, side=side)
