"""What skerry promises about its speed, judged from measured rows: each target is a ratio with a gate and an ambition.

Ratios are of servers measured in one interleaved run, of CPU time per request at 16 connections unless the target says
otherwise. Rows that a run does not have are never a pass: the target is "not judged", with the reason.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.plan import FLOOR
from bench.results import NONE, VARYING, Cell, Results, Row


class Verdict(enum.Enum):
    AMBITION = "ambition reached"
    REACHED = "reached"
    NOT_REACHED = "not reached"
    NOT_JUDGED = "not judged"


class MissingError(Exception):
    """A row that a target needs is not there; says which."""


class Rows:
    """Rows by what they are of."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows: Mapping[Cell, Row] = {row.cell: row for row in rows}

    def row(self, server: str, model: str, connections: int = 16, *, tls: bool = False, deadlines: str = NONE) -> Row:
        """Raises MissingError, also for a row with errors: what was not answered was not measured."""
        row = self._rows.get(Cell(server, model, tls, connections, deadlines))
        if row is None:
            raise MissingError(f"no row of {server} for {model} at {connections} connections")
        if row.errors:
            raise MissingError(f"{server} had {row.errors} errors for {model} at {connections} connections")
        return row

    def cpu(self, server: str, model: str, *, tls: bool = False, deadlines: str = NONE) -> float:
        return self.row(server, model, tls=tls, deadlines=deadlines).cpu_us_per_request


@dataclass(frozen=True, slots=True)
class Target:
    """`measure` gives a number; at or below `gate` it is reached, at or below `ambition` better than that."""

    name: str
    measure: Callable[[Rows], float]
    gate: float
    ambition: float
    unit: str = "×"


@dataclass(frozen=True, slots=True)
class Judgement:
    target: Target
    verdict: Verdict
    value: float | None = None
    reason: str = field(default="")


def _ratio(server: str, model: str, *, tls: bool = False) -> Callable[[Rows], float]:
    return lambda rows: rows.cpu("skerry", model, tls=tls) / rows.cpu(server, model, tls=tls)


def _to_floor(tls: bool) -> Callable[[Rows], float]:
    return lambda rows: rows.cpu("skerry", "cnn", tls=tls) / rows.cpu(FLOOR, "cnn")


def _excess(rows: Rows) -> float:
    floor = rows.cpu(FLOOR, "cnn")
    return (rows.cpu("skerry", "cnn") - floor) / (rows.cpu("grpc-aio", "cnn") - floor)


def _deadlines(rows: Rows) -> float:
    return rows.cpu("skerry", "echo", deadlines=VARYING) / rows.cpu("skerry", "echo")


def _alone(server: str) -> Callable[[Rows], float]:
    return lambda rows: rows.row("skerry", "cnn", 1).p50_us / rows.row(server, "cnn", 1).p50_us


def _memory(rows: Rows) -> float:
    return rows.row("skerry", "cnn").rss_mb


def _ready(rows: Rows) -> float:
    return rows.row("skerry", "cnn").ready_s / rows.row("kserve", "cnn").ready_s


TARGETS: Sequence[Target] = (
    Target("CNN, against raw ONNX Runtime", _to_floor(tls=False), 2.0, 1.3),
    Target("CNN over TLS, against raw ONNX Runtime", _to_floor(tls=True), 2.0, 1.4),
    Target("CNN, above raw ONNX Runtime, against that of grpc.aio", _excess, 1 / 8, 1 / 20),
    Target("CNN, against C++ gRPC", _ratio("cpp-grpc", "cnn"), 1.0, 0.65),
    Target("CNN, against KServe", _ratio("kserve", "cnn"), 1 / 6, 1 / 12),
    Target("CNN, against MLServer", _ratio("mlserver", "cnn"), 1 / 8, 1 / 16),
    Target("echo, against grpc.aio", _ratio("grpc-aio", "echo"), 1 / 10, 1 / 20),
    Target("echo over TLS, against grpc.aio", _ratio("grpc-aio", "echo", tls=True), 1 / 8, 1 / 15),
    Target("echo, against grpcio sync", _ratio("grpc-sync", "echo"), 1 / 5, 1 / 10),
    Target("echo over TLS, against grpcio sync", _ratio("grpc-sync", "echo", tls=True), 1 / 4, 1 / 7),
    Target("echo, deadlines that vary against none", _deadlines, 2.5, 1.5),
    Target("CNN, p50 of one connection, against C++ gRPC", _alone("cpp-grpc"), 1.25, 1.05),
    Target("CNN, p50 of one connection, against KServe", _alone("kserve"), 1 / 5, 1 / 8),
    Target("CNN, p50 of one connection, against MLServer", _alone("mlserver"), 1 / 7, 1 / 11),
    Target("memory with the CNN loaded", _memory, 85.0, 75.0, "MB"),
    Target("time to the first answer, against KServe", _ready, 1 / 3, 1 / 6),
)


def judge(results: Results, targets: Sequence[Target] = TARGETS) -> list[Judgement]:
    rows = Rows(results.rows)
    return [_judge(target, rows, results.missing) for target in targets]


def _judge(target: Target, rows: Rows, missing: Mapping[str, str]) -> Judgement:
    try:
        value = target.measure(rows)
    except MissingError as exc:
        because = next((f": {why}" for server, why in missing.items() if f" {server} " in f" {exc} "), "")
        return Judgement(target, Verdict.NOT_JUDGED, None, f"{exc}{because}")
    except ZeroDivisionError:
        return Judgement(target, Verdict.NOT_JUDGED, None, "nothing was measured to compare with")
    if value <= target.ambition:
        return Judgement(target, Verdict.AMBITION, value)
    return Judgement(target, Verdict.REACHED if value <= target.gate else Verdict.NOT_REACHED, value)
