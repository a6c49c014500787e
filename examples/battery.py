"""A battery that shaves the peaks of a plant's draw, run by forecasts. Pure, and the same control for every forecast,
so that only the forecasts differ.

Before each step the control chooses a level, from the forecast of the coming steps alone; within the step the battery
follows the draw: what is above the level it gives, as far as power and charge go, and below it charges up to the level.
The level is the lowest one that the charge suffices for over the forecast steps, and never lower than the highest draw
of this month so far, which is paid for already, nor than the mean draw until now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Battery:
    """`efficiency` of a whole turn, 0..1, is lost in charging. Full at the start of each series."""

    capacity_kwh: float
    power_kw: float
    efficiency: float


@dataclass(frozen=True, slots=True)
class Shaved:
    """By month: the highest mean draw of a step in kW. `moved_kwh` is what the battery gave."""

    peak_kw: tuple[float, ...]
    moved_kwh: float

    @property
    def mean_peak_kw(self) -> float:
        return float(np.mean(self.peak_kw))


def run(
    load_kwh: NDArray[np.float64],
    forecast_kwh: NDArray[np.float64],
    month: NDArray[np.int64],
    step_hours: float,
    battery: Battery,
) -> Shaved:
    """`load_kwh` [n] is drawn in each step, `forecast_kwh` [n, steps] was forecast for it and the steps after it before
    it began, `month` [n] numbers the months, in order."""
    charge, moved, peaks = battery.capacity_kwh, 0.0, dict[int, float]()
    most = battery.power_kw * step_hours
    means = np.concatenate([[0.0], np.cumsum(load_kwh)[:-1] / np.arange(1, len(load_kwh))])  # of the draw until then
    steps = zip(load_kwh.tolist(), forecast_kwh.tolist(), month.tolist(), means.tolist(), strict=True)
    for load, ahead, now, mean in steps:
        highest = peaks.setdefault(now, 0.0)
        level = max(highest * step_hours, mean, _level(ahead, charge, most))
        if load > level:
            given = min(load - level, most, charge)
            charge, moved, drawn = charge - given, moved + given, load - given
        else:
            room = (battery.capacity_kwh - charge) / battery.efficiency
            taken = min(level - load, most, room)
            charge, drawn = charge + taken * battery.efficiency, load + taken
        peaks[now] = max(highest, drawn / step_hours)
    return Shaved(tuple(peaks[now] for now in sorted(peaks)), moved)


def without(load_kwh: NDArray[np.float64], month: NDArray[np.int64], step_hours: float) -> Shaved:
    """No battery."""
    return Shaved(tuple(float(load_kwh[month == now].max()) / step_hours for now in np.unique(month)), 0.0)


def _level(ahead: Sequence[float], charge: float, most: float) -> float:
    """The lowest draw in kWh a step that the charge suffices for over the steps `ahead`, each within the power. What is
    above a level, over the steps that are, is the most that any number of the highest steps has above it."""
    highest = sorted(ahead, reverse=True)
    by_charge = max((total - charge) / count for count, total in enumerate(accumulate(highest), 1))
    return max(0.0, highest[0] - most, by_charge)
