"""Results as text: a table per model with ratios to ours and to the floor, and the judgements. Pure; Markdown, because
a terminal shows it as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.gates import Judgement, Verdict
from bench.plan import FLOOR
from bench.results import NONE, Cell, Results, Row

_HEADS = (
    "server",
    "",
    "CPU µs",
    "spread",
    "× ours",
    "× floor",
    "p50 µs",
    "p99 µs",
    "req/s",
    "RSS MB",
    "ready s",
    "bad",
)


def render(results: Results, judgements: Sequence[Judgement]) -> str:
    """The whole report."""
    parts = [about(results)]
    rows = [*results.rows, *results.side]
    for model in dict.fromkeys(row.model for row in rows):
        parts += table(model, [row for row in rows if row.model == model])
    parts += [f"not judged: {server}: {why}" for server, why in results.missing.items()]
    return "\n".join([*parts, "", *verdicts(judgements)]) + "\n"


def about(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return (
        f"{results.kind} run, {results.measured_at}, on {machine.get('cpu')} ({machine.get('cores')} cores, "
        f"{machine.get('system')}).\n{versions}.\n"
    )


def table(model: str, rows: Sequence[Row]) -> Iterator[str]:
    """A table for each number of connections."""
    for connections in sorted({row.connections for row in rows}):
        mine = [row for row in rows if row.connections == connections]
        yield f"\n**{model}, {connections} connection{'s' if connections > 1 else ''}**\n"
        yield from _lines([_HEADS, *(_cells(row, mine) for row in mine)])


def ratio_to_ours(row: Row, rows: Sequence[Row]) -> float | None:
    """CPU time of `row` to that of ours under the same conditions; None when ours was not measured."""
    ours = replace(row.cell, server="skerry")
    return _ratio(row, next((other for other in rows if other.cell == ours), None))


def ratio_to_floor(row: Row, rows: Sequence[Row]) -> float | None:
    """CPU time of `row` to that of the model alone, measured beside it; None for the echo, which has no floor."""
    floor = Cell(FLOOR, row.model, False, row.connections)
    return _ratio(row, next((other for other in rows if other.cell == floor), None))


def verdicts(judgements: Sequence[Judgement]) -> Iterator[str]:
    heads = ("target", "measured", "gate", "ambition", "verdict")
    yield from _lines([heads, *map(_verdict, judgements)])


def _verdict(judgement: Judgement) -> Sequence[str]:
    target = judgement.target
    value = "" if judgement.value is None else _amount(judgement.value, target.unit)
    said = judgement.verdict.value
    if judgement.verdict is Verdict.NOT_JUDGED:
        said = f"{said}: {judgement.reason}"
    return target.name, value, _amount(target.gate, target.unit), _amount(target.ambition, target.unit), said


def _amount(value: float, unit: str) -> str:
    """Ratios below a half as fractions: `1/8` says more than 0.125."""
    if unit == "×" and 0 < value < 0.5:
        return f"1/{1 / value:.3g}"
    return f"{value:.3g} {unit}"


def _cells(row: Row, beside: Sequence[Row]) -> Sequence[str]:
    how = ", ".join(["TLS"] * row.tls + [f"{row.deadlines} deadlines"] * (row.deadlines != NONE))
    return (
        row.server,
        how,
        f"{row.cpu_us_per_request:.1f}",
        f"{row.cpu_us_least:.0f}–{row.cpu_us_most:.0f}",
        _times(ratio_to_ours(row, beside)),
        _times(ratio_to_floor(row, beside)),
        f"{row.p50_us:.0f}",
        f"{row.p99_us:.0f}",
        f"{row.rps:.0f}",
        f"{row.rss_mb:.0f}",
        f"{row.ready_s:.2f}",
        str(row.errors),
    )


def _ratio(row: Row, to: Row | None) -> float | None:
    return row.cpu_us_per_request / to.cpu_us_per_request if to is not None and to.cpu_us_per_request > 0 else None


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
