"""The page's small drawings as numbers: where a verdict's intervals and a histogram's bars go. No markup here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BAR_WIDTH, BAR_HEIGHT = 100, 24
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison. `low`, `high`, `rate` are bad rates 0–1; the `…_percent` say where they are."""

    name: str
    n: int
    bad: int
    rate: float | None
    low: float
    high: float
    low_percent: float
    width_percent: float
    rate_percent: float | None


def bars(counts: Sequence[int]) -> Sequence[Bar]:
    """A histogram in a box of BAR_WIDTH × BAR_HEIGHT; empty bins have no bar."""
    highest = max(counts, default=0)
    if not highest:
        return []
    width = BAR_WIDTH / len(counts)
    return [
        Bar(round(index * width, 2), round(BAR_HEIGHT - (height := max(1.0, BAR_HEIGHT * count / highest)), 2),
            round(width - 0.8, 2), round(height, 2))
        for index, count in enumerate(counts)
        if count
    ]  # fmt: skip


def arms(verdict: Mapping[str, Any]) -> Sequence[Arm]:
    """Canary and baseline of a verdict, on one scale from 0 to the higher bound; empty when it compares nothing."""
    sides = [(name, _mapping(verdict.get(name)), _bounds(verdict, name)) for name in ("canary", "baseline")]
    if not any(counts.get("n") for _, counts, _ in sides):
        return []
    top = max(0.05, *(1.05 * bounds[1] for _, counts, bounds in sides if counts.get("n")))
    return [_arm(name, counts, bounds, top) for name, counts, bounds in sides]


def _arm(name: str, counts: Mapping[str, Any], bounds: tuple[float, float], top: float) -> Arm:
    n, bad = _count(counts.get("n")), _count(counts.get("bad"))
    low, high = bounds if n else (0.0, 1.0)
    rate = bad / n if n else None
    left, right = (100 * min(1.0, bound / top) for bound in (low, high))
    return Arm(
        name=name,
        n=n,
        bad=bad,
        rate=rate,
        low=low,
        high=high,
        low_percent=round(left, 1),
        width_percent=round(max(0.5, right - left), 1),
        rate_percent=None if rate is None else round(100 * min(1.0, rate / top), 1),
    )


def _bounds(verdict: Mapping[str, Any], name: str) -> tuple[float, float]:
    """From ppm; (0, 1), which says nothing, when they are missing."""
    pair = _mapping(verdict.get("bounds")).get(name)
    if isinstance(pair, list) and len(pair) == 2 and all(isinstance(bound, int) for bound in pair):
        low, high = (min(_MILLION, max(0, bound)) / _MILLION for bound in pair)
        return low, max(low, high)
    return 0.0, 1.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
