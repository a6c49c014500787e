"""From seconds and ratios to pixels, and where the ticks of a time axis go."""

from dataclasses import dataclass

_STEPS_S = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_MAX_TICKS = 12


@dataclass(frozen=True, slots=True)
class Scale:
    """Linear: `low` lies at `from_px`, `high` at `to_px`; values outside are drawn at the edge."""

    low: float
    high: float
    from_px: float
    to_px: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = min(1.0, max(0.0, (value - self.low) / span)) if span > 0 else 0.0
        return round(self.from_px + share * (self.to_px - self.from_px), 1)


def ticks(seconds: float) -> list[int]:
    """Round moments from 0 to `seconds`, about a dozen at most."""
    step = next((size for size in _STEPS_S if seconds / size <= _MAX_TICKS), max(1, int(seconds / _MAX_TICKS)))
    return list(range(0, int(seconds) + 1, step))


def clock(seconds: float) -> str:
    """`1:05` for 65 s."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
