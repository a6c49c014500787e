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
    """10 kWh are given at once. Below the peak of 30 another 6 are drawn, of which half are there to be given; and a
    month begins with no peak, so that they are given below 30."""
    load, nothing = np.array([20.0, 20.0, 30.0, 24.0, 28.0]), np.zeros((5, 1))
    battery = Battery(capacity_kwh=10, power_kw=4000, efficiency=0.5)
    shaved = run(load, nothing, np.array([0, 0, 0, 0, 1]), HOURS, battery)
    assert shaved.moved_kwh == pytest.approx(10 + 3)
    assert shaved.peak_kw == pytest.approx((30 / HOURS, 25 / HOURS))


def test_a_full_battery_draws_no_more_than_it_can_hold() -> None:
    """After 20 kWh were given, 20 come back by drawing 40."""
    load, nothing = np.array([20.0, 60.0, 60.0, 10.0, 10.0]), np.zeros((5, 1))
    shaved = run(load, nothing, np.zeros(5, dtype=np.int64), HOURS, Battery(20, 4000, 0.5))
    again = run(np.append(load, 100.0), np.zeros((6, 1)), np.zeros(6, dtype=np.int64), HOURS, Battery(20, 4000, 0.5))
    assert again.moved_kwh - shaved.moved_kwh == pytest.approx(20.0)


def test_a_level_is_not_chosen_for_which_the_power_does_not_suffice() -> None:
    """The charge would do to hold both steps at 5; of the second one 20 can be given: 40 is drawn in any case, and
    nothing is spent on the first."""
    load, month = np.array([10.0, 60.0]), np.zeros(2, dtype=np.int64)
    shaved = run(load, np.array([[10.0, 60.0], [60.0, 10.0]]), month, HOURS, Battery(60, 80, 1.0))
    assert shaved.peak_kw == pytest.approx((160.0,)) and shaved.moved_kwh == pytest.approx(20.0, abs=1e-3)


def test_the_level_is_the_lowest_that_charge_and_power_suffice_for() -> None:
    rng = np.random.default_rng(0)
    for ahead_kwh in rng.uniform(0, 40, (50, 4)):
        battery = Battery(float(rng.uniform(1, 60)), float(rng.uniform(20, 160)), 1.0)
        most = battery.power_kw * HOURS
        levels = np.linspace(0, 40, 4001)
        above = np.maximum(ahead_kwh[None] - levels[:, None], 0)
        fits = levels[(above.sum(axis=1) <= battery.capacity_kwh) & (above.max(axis=1) <= most)]
        shaved = run(ahead_kwh[:1], ahead_kwh[None], np.zeros(1, dtype=np.int64), HOURS, battery)
        assert shaved.moved_kwh == pytest.approx(max(ahead_kwh[0] - fits[0], 0.0), abs=0.011)
