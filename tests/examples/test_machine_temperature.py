"""What warnings of a machine are worth: which windows they fall into, how many are false, how early they come."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.client import Answer
from examples.machine_temperature import readings, report
from examples.machine_temperature.readings import Readings, Window
from examples.own import Place
from skerry.core import errors

STEP_MS, HOUR_MS, DAY_MS = 300_000, 3_600_000, 86_400_000
WINDOWS = [Window(10 * DAY_MS, 12 * DAY_MS), Window(30 * DAY_MS, 32 * DAY_MS)]


def quiet(days: int = 50) -> Readings:
    time = np.arange(1, days * 288, dtype=np.int64) * STEP_MS
    return Readings(time, 80 + np.sin(time / DAY_MS), WINDOWS)


def test_a_warning_in_a_window_finds_it_and_any_other_is_false_but_for_those_before_the_first_window() -> None:
    times = [5 * DAY_MS, 11 * DAY_MS + HOUR_MS, 11 * DAY_MS + 2 * HOUR_MS, 20 * DAY_MS, 40 * DAY_MS]
    told = readings.score(quiet(), times)
    assert (told.found, told.first) == (1, [11 * DAY_MS + HOUR_MS, None])
    assert told.false == 2
    assert told.weeks == pytest.approx((50 - 10 - 4) / 7, abs=0.01)
    assert told.false_per_week == pytest.approx(2 / told.weeks)


def test_lead_is_measured_against_the_middle_of_the_window_and_negative_after_it() -> None:
    assert readings.lead_hours(WINDOWS[0], 11 * DAY_MS - 3 * HOUR_MS) == 3
    assert readings.lead_hours(WINDOWS[0], 11 * DAY_MS + HOUR_MS) == -1


def test_the_level_is_the_largest_that_so_many_in_a_row_reached() -> None:
    assert readings.level([1, 9, 1, 3, 4, 3, 1, 5, 2], 3) == 3
    assert readings.level([2, 2, 2], 3) == 2


def test_a_plain_level_warns_beyond_three_deviations_and_once_for_each_time() -> None:
    known = quiet()
    known.value[(known.time >= 11 * DAY_MS) & (known.time < 11 * DAY_MS + 6 * HOUR_MS)] = 20
    (raised,) = readings.three_sigma(known)
    assert raised == 11 * DAY_MS


def test_residuals_are_of_readings_a_step_later_and_of_no_others() -> None:
    known = Readings(np.array([0, 1, 2, 9, 10]) * STEP_MS, np.array([10.0, 11, 12, 50, 51]), WINDOWS)
    answers = [answer(index, 10.0) for index in range(5)]
    assert report.residuals(known, answers).tolist() == [1.0, 2.0, 41.0]


def test_windows_within_the_probation_are_not_judged(tmp_path: Path) -> None:
    stamps = [str(np.datetime64("2013-12-01", "ms") + np.timedelta64(5 * n, "m")) for n in range(288 * 20)]
    (tmp_path / "t.csv").write_text("timestamp,value\n" + "".join(f"{one},80\n" for one in stamps))
    spans = [["2013-12-02 00:00", "2013-12-03 00:00"], ["2013-12-10 00:00", "2013-12-11 00:00"]]
    (tmp_path / "w.json").write_text(json.dumps({"realKnownCause/machine_temperature_system_failure.csv": spans}))
    known = readings.read(tmp_path / "t.csv", tmp_path / "w.json")
    assert [window.start for window in known.judged] == [int(np.datetime64("2013-12-10", "ms").astype(np.int64))]
    assert known.time[known.first_judged] == known.judged[0].start
    (tmp_path / "w.json").write_text("{}")
    with pytest.raises(errors.InputError, match="are not NAB's"):
        readings.read(tmp_path / "t.csv", tmp_path / "w.json")


def answer(index: int, value: float, digest: str = "sha256:1") -> Answer:
    return Answer(index, f"r{index}", "edge-1", digest, 0.5, (value,), (value,), (value,), "")


def test_rows_say_bars_baselines_and_whose_answers_they_are_of(tmp_path: Path) -> None:
    known = quiet()
    first = known.first_judged
    after = [answer(index, float(known.value[index])) for index in range(first, len(known.time))]
    place = Place({}, {report.FILES[0]: "abc"}, tmp_path, tmp_path, 3, print)
    raised = [11 * DAY_MS - HOUR_MS, 31 * DAY_MS]
    made: dict[str, Any] = {
        row.metric: row
        for row in report.rows(place, known, [answer(0, 80.0)], after, raised, 2.5, run="run", cpu_s=1.0)
    }
    assert (made["windows_warned"].value, made["windows_warned"].passed) == (2, True)
    assert (made["false_warnings_per_week"].value, made["false_warnings_per_week"].passed) == (0, True)
    assert made["lead_hours_1970-01-12"].value == 1
    assert made["mae"].value == made["mae"].baseline
    assert {row.version_digest for row in made.values()} == {"sha256:1"}
    assert made["mae"].answered_by == {"edge-1": len(after)}
