"""Traffic, energy and a machine's temperature as they were published, with all that is wrong in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import real_data
from cli_system import StillSystem

from skerry.core import writers

TRAFFIC, ENERGY = "metro_interstate_traffic_volume.csv", "steel_industry_energy.csv"
MACHINE = "nab_machine_temperature.csv"
ENERGY_LATER = "Lagging_Current_Reactive.Power_kVarh,CO2(tCO2)"
DAY_FIRST = ("--time-format", "%d/%m/%Y %H:%M")

pytestmark = pytest.mark.long


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


def model(system: StillSystem, shape: list[int], **forecast: Any) -> None:
    spec = {"task": "Forecast", "forecast": forecast, "input": {"name": "window", "datatype": "FP32", "shape": shape}}
    system.objects.create("EdgeModel", "m", spec, manager=writers.OPERATOR)


def traffic(system: StillSystem, columns: int) -> None:
    model(
        system, [24, columns], target="traffic_volume", unit="vehicles/h", stepSeconds=3600, horizon=1, naive=[1, 168]
    )


def energy(system: StillSystem) -> None:
    model(system, [96, 1], target="Usage_kWh", unit="kWh", stepSeconds=900, horizon=8, steps=8, naive=[1, 96])


@real_data.needs(TRAFFIC)
def test_hours_of_traffic_that_are_missing_double_or_impossible_are_told(system: StillSystem, tmp_path: Path) -> None:
    traffic(system, 12)
    path = real_data.unpacked(TRAFFIC, tmp_path)
    common = ("datasets", "import", path, "--model", "m", "--time-column", "date_time")
    options = ("--feature", "temp", "--valid", "temp=200:340", "--lag", "168", "--calendar", "hour,weekday", "--json")
    zone = ("--time-zone", "America/Chicago")
    assert "rows that contradict one another" in system.bad(2, *common, *options, *zone)
    told = json.loads(system.good(*common, *options, *zone, "--duplicates", "first", "--holdout", "0.2"))
    rows = {"outOfRange": 10, "repeatedHour": 10, "duplicateRow": 7547, "contradictingRow": 76}
    assert rows.items() <= told["dropped"].items()
    hours = 52_551 - told["series"][0]["missingSteps"]
    assert told["rows"] == 48_204 == hours + sum(rows.values())
    holdout = system.dataset("m")[1]["holdout"]
    assert holdout.naive is not None
    last_value, last_week = np.nanmean(np.abs(holdout.naive - holdout.y[:, None]), axis=(0, 2)).tolist()
    assert 550 < last_value < 650 and 250 < last_week < 350  # vehicles/h


@real_data.needs(ENERGY)
def test_days_of_energy_that_end_at_midnight_are_read_so_only_when_it_is_said(
    system: StillSystem, tmp_path: Path
) -> None:
    energy(system)
    path = real_data.unpacked(ENERGY, tmp_path)
    common = ("datasets", "import", path, "--model", "m", "--time-column", "date", "--known-later", ENERGY_LATER)
    assert "--time-format '%d/%m/%Y %H:%M'" in system.bad(2, *common)
    said = system.bad(2, *common, *DAY_FIRST)
    assert "row 94 is 2018-01-01 23:45 and row 95 is 2018-01-01 00:00 of the same date (365 such rows)" in said
    assert "known later only" in system.bad(2, *common, *DAY_FIRST, "--feature", "CO2(tCO2)")
    told = json.loads(system.good(*common, *DAY_FIRST, "--midnight", "end-of-day", "--json"))
    assert set(told["dropped"]) == {"embargo"}
    assert (told["series"][0]["missingSteps"], told["rows"]) == (0, 35_040)
    assert told["train"] + told["holdout"] + told["dropped"]["embargo"] == 35_040 - 95 - 8


@real_data.needs(MACHINE)
def test_a_machine_whose_clock_went_back_for_an_hour_is_refused(system: StillSystem, tmp_path: Path) -> None:
    model(system, [12, 1], target="value", unit="°F", stepSeconds=300)
    path = real_data.unpacked(MACHINE, tmp_path)
    common = ("datasets", "import", path, "--model", "m", "--time-column", "timestamp")
    said = system.bad(2, *common)
    assert "first from 2014-01-07 02:55 (row 10148) to 2014-01-07 02:00 (row 10149)" in said
    assert "12 times have rows that contradict one another" in system.bad(2, *common, "--sort")


@real_data.needs(TRAFFIC)
def test_windows_of_the_last_hours_of_traffic_are_enough_for_its_bar(system: StillSystem, tmp_path: Path) -> None:
    """Of the last 4,617 hours from 2016 on at least 4,300 have a whole window, last week's value and a truth."""
    traffic(system, 11)
    lines = real_data.unpacked(TRAFFIC, tmp_path).read_text().splitlines()
    recent = [line for line in lines[1:] if line.split(",")[7] >= "2016"]
    (tmp_path / "recent.csv").write_text("\n".join([lines[0], *recent]))
    options = ("--lag", "168", "--calendar", "hour,weekday", "--holdout", "0.3", "--json")
    common = ("datasets", "import", tmp_path / "recent.csv", "--model", "m", "--time-column", "date_time")
    system.good(*common, *options)
    time = system.dataset("m")[1]["holdout"].time
    hours = np.unique(np.array([line.split(",")[7] for line in recent], dtype="datetime64[ms]"))
    assert len(hours) == 23_084
    assert time is not None
    assert 4300 <= int((time + 3_600_000 >= hours[-4617].astype(np.int64)).sum()) < 4617
