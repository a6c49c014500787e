"""The same control with a better forecast shaves more; what is given was charged before, and no limit is passed."""

import numpy as np
import pytest

from examples.battery import Battery, run, without

HOURS = 0.25
BATTERY = Battery(capacity_kwh=40, power_kw=60, efficiency=0.9)


def plant(days: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """(kWh in each quarter of an hour, month): 5 at rest, and every day a shift of two hours with 30."""
    quarter = np.arange(days * 96)
    day = quarter % 96
    return np.where((day >= 40) & (day < 48), 30.0, 5.0), (quarter // (20 * 96)).astype(np.int64)


def ahead(load: np.ndarray, steps: int = 8) -> np.ndarray:
    return np.stack([np.roll(load, -step) for step in range(steps)], axis=1)


def test_with_foresight_the_peak_falls_by_what_the_charge_gives_over_the_shift() -> None:
    load, month = plant()
    shaved = run(load, ahead(load), month, HOURS, BATTERY)
    assert without(load, month, HOURS).peak_kw == (120.0, 120.0)
    assert shaved.peak_kw == pytest.approx((100.0, 100.0), abs=0.1), "40 kWh over two hours are 20 kW"
    assert shaved.moved_kwh == pytest.approx(40 * 40, rel=0.02), "a whole charge each day"


def test_who_expects_nothing_gives_at_once_what_the_end_of_the_shift_would_need() -> None:
    load, month = plant()
    blind = run(load, np.zeros((len(load), 8)), month, HOURS, BATTERY)
    assert blind.peak_kw == (120.0, 120.0) and blind.moved_kwh < 0.2 * 40 * 40


def test_no_more_is_given_than_power_and_charge_allow_and_nothing_is_fed_into_the_grid() -> None:
    """The level is the mean draw until then (0, 20, 30), or the highest draw so far."""
    load, month, nothing = np.array([20.0, 40.0, 60.0]), np.zeros(3, dtype=np.int64), np.zeros((3, 1))
    weak = run(load, nothing, month, HOURS, Battery(capacity_kwh=20, power_kw=40, efficiency=1.0))
    assert weak.moved_kwh == pytest.approx(20.0), "10 kWh in each of two steps, then it is empty"
    assert weak.peak_kw == (240.0,)
    strong = run(load, nothing, month, HOURS, Battery(capacity_kwh=900, power_kw=4000, efficiency=1.0))
    assert (strong.moved_kwh, strong.peak_kw) == (pytest.approx(70.0), (120.0,))


def test_what_is_lost_in_a_turn_is_drawn_too() -> None:
    load, month = plant(days=2)
    whole, lossy = (
        run(load, ahead(load), month, HOURS, Battery(capacity_kwh=40, power_kw=60, efficiency=share))
        for share in (1.0, 0.5)
    )
    assert lossy.moved_kwh <= whole.moved_kwh and lossy.mean_peak_kw >= whole.mean_peak_kw - 1e-6
