"""What was measured, as rows: one for each scenario, metric and seed. `results.json` keeps rows that a run did not make
anew, so that scenarios and seeds may be run one after the other."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry.adapters import files
from skerry.core import errors


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is of the agents' replies whose local digest is `version_digest` (empty: of no version's), `n` of them,
    counted by node in `answered_by`. `float_value`: that of the network before it was quantized, asked offline for the
    same rows, for it serves nobody; None: not measured. `baseline`: the best naive forecast, or what the interval means
    to cover. `passed` is None where there is no bar.
    Without a value the data is missing (`passed` is None) or the loop did not close (False)."""

    scenario: str
    metric: str
    value: float | None
    bar: str
    passed: bool | None
    seeds: tuple[int, ...]
    data: str
    float_value: float | None = None
    baseline: float | None = None
    n: int = 0
    data_sha256: str = ""
    version_digest: str = ""
    answered_by: Mapping[str, int] = field(default_factory=dict)
    run: str = ""
    rollout: str = ""
    cpu_s: float | None = None
    note: str = ""

    @property
    def key(self) -> tuple[str, str, tuple[int, ...]]:
        return self.scenario, self.metric, self.seeds


def read(path: Path) -> list[Row]:
    """Raises InputError naming the file when it holds anything else."""
    if not path.exists():
        return []
    try:
        return [Row(**{**row, "seeds": tuple(row["seeds"])}) for row in json.loads(path.read_text())["rows"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.InputError(f"{path} holds no rows of results ({exc}): restore it, or delete it") from exc


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """`new` takes the place of all rows of its scenarios and seeds; of what could not be measured only where nothing
    was measured before."""
    measured = {(row.scenario, row.seeds) for row in old if row.value is not None}
    taken = [row for row in new if row.value is not None or (row.scenario, row.seeds) not in measured]
    made = {(row.scenario, row.seeds) for row in taken}
    kept = [row for row in old if (row.scenario, row.seeds) not in made]
    return sorted([*kept, *taken], key=lambda row: (row.scenario, row.seeds))


def write(rows: Sequence[Row], path: Path) -> None:
    files.write(path, (json.dumps({"rows": [asdict(row) for row in rows]}, indent=1) + "\n").encode())


def failures(rows: Iterable[Row], *, allow_missing: bool) -> list[str]:
    """Why the command fails, for people. A bar that is missed is told in the table and fails nothing: a figure is no
    test."""
    empty = [row for row in rows if row.value is None]
    broken = {f"{row.scenario}, seed {row.seeds[0]}: {row.note}" for row in empty if row.passed is False}
    missing = {row.data for row in empty if row.passed is None}
    named = [f"{name}.gz is not there: name its folder with SKERRY_DATA, or say ALLOW_MISSING=1" for name in missing]
    return [*sorted(broken), *([] if allow_missing else named)]


def table(rows: Sequence[Row]) -> str:
    """Mean and worst of the seeds of each metric, as Markdown."""
    heads = ("scenario", "metric", "mean", "worst", "baseline", "bar", "passed", "seeds", "n")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.scenario, row.metric), []).append(row)
    return _lines([heads, *(_cells(group) for group in groups.values())])


def _cells(group: Sequence[Row]) -> tuple[str, ...]:
    first, values = group[0], [row.value for row in group if row.value is not None]
    baselines = [row.baseline for row in group if row.baseline is not None]
    verdicts = {row.passed for row in group}
    passed = "–" if verdicts == {None} else "yes" if verdicts == {True} else "no"
    return (
        first.scenario,
        first.metric,
        _number(sum(values) / len(values)) if values else "no data",
        _number(_worst(values, first.bar)) if values else "",
        _number(sum(baselines) / len(baselines)) if baselines else "",
        first.bar,
        passed,
        ", ".join(str(seed) for row in group for seed in row.seeds),
        f"{min(row.n for row in group):,}",
    )


def _worst(values: Sequence[float], bar: str) -> float:
    """The one farthest to the side that the bar forbids; of a range the one farthest from its middle."""
    if "–" in bar:
        low, high = (float(end) for end in bar.split("–"))
        return max(values, key=lambda value: abs(value - (low + high) / 2))
    return min(values) if bar.startswith("≥") else max(values)


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _lines(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
