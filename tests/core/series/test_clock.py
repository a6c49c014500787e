"""Which moment a clock on the wall meant: midnights, summer time, clocks that go back."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from skerry.core import errors
from skerry.core.series import clock, timestamps
from skerry.core.series.clock import Reading

CHICAGO = ZoneInfo("America/Chicago")
HOUR = 3_600_000


def read(texts: list[str], reading: Reading) -> clock.Times:
    return clock.read(timestamps.parse(np.array(texts), "", "t.csv"), reading, "t.csv")


def shown(times: clock.Times) -> list[str]:
    return [timestamps.shown(int(ms))[5:] for ms in times.unix_ms[times.kept]]


def refusal(texts: list[str], reading: Reading) -> str:
    with pytest.raises(errors.InputError) as refused:
        read(texts, reading)
    return str(refused.value)


DAYS_THAT_END_AT_MIDNIGHT = ["2018-01-01 23:30", "2018-01-01 23:45", "2018-01-01 00:00", "2018-01-02 00:15"]


def test_a_day_that_goes_on_to_midnight_of_its_own_date_is_refused_until_it_is_named() -> None:
    said = refusal(DAYS_THAT_END_AT_MIDNIGHT, Reading())
    assert "row 1 is 2018-01-01 23:45 and row 2 is 2018-01-01 00:00 of the same date (1 such rows)" in said
    assert "--midnight end-of-day" in said
    assert "--midnight start-of-day" in said


@pytest.mark.parametrize("sort", [False, True])
def test_a_midnight_that_ends_its_day_is_the_moment_after_it(sort: bool) -> None:
    texts = DAYS_THAT_END_AT_MIDNIGHT[::-1] if sort else DAYS_THAT_END_AT_MIDNIGHT
    times = read(texts, Reading(midnight="end-of-day", sort=sort))
    assert sorted(shown(times)) == ["01-01 23:30", "01-01 23:45", "01-02 00:00", "01-02 00:15"]


def test_newest_first_does_not_hide_a_midnight_that_ends_its_day() -> None:
    assert "--midnight end-of-day" in refusal(DAYS_THAT_END_AT_MIDNIGHT[::-1], Reading(sort=True))


def test_midnights_that_begin_their_day_are_not_read_as_its_end() -> None:
    texts = ["2018-01-01 23:00", "2018-01-02 00:00", "2018-01-02 01:00"]
    assert shown(read(texts, Reading())) == ["01-01 23:00", "01-02 00:00", "01-02 01:00"]
    assert shown(read(texts[::-1], Reading(sort=True)))[::-1] == ["01-01 23:00", "01-02 00:00", "01-02 01:00"]
    assert "row 1 (2018-01-02 00:00) begins it" in refusal(texts, Reading(midnight="end-of-day"))


def test_a_clock_that_goes_back_is_refused_and_told_from_rows_in_another_order() -> None:
    texts = ["2018-01-01 10:00", "2018-01-01 11:00", "2018-01-01 09:30", "2018-01-01 10:30"]
    said = refusal(texts, Reading())
    assert "goes back 1 times, first from 2018-01-01 11:00 (row 1) to 2018-01-01 09:30 (row 2)" in said
    assert "--sort" in said
    assert read(texts, Reading(sort=True)).kept.all()


def test_an_hour_that_the_zone_left_out_is_refused() -> None:
    said = refusal(["2018-03-11 01:30", "2018-03-11 02:30", "2018-03-11 03:30"], Reading(CHICAGO))
    assert "row 1 is 2018-03-11 02:30, an hour that America/Chicago left out" in said


def test_hours_on_either_side_of_the_spring_change_are_one_hour_apart() -> None:
    times = read(["2018-03-11 01:00", "2018-03-11 03:00"], Reading(CHICAGO))
    assert np.diff(times.unix_ms).tolist() == [HOUR]


def test_an_hour_that_is_there_twice_is_told_by_a_clock_that_goes_back_once() -> None:
    texts = [f"2018-11-04 {hour}" for hour in ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00")]
    times = read(texts, Reading(CHICAGO))
    assert times.kept.all()
    assert np.diff(times.unix_ms).tolist() == [HOUR / 2] * 5


@pytest.mark.parametrize(
    ("hours", "sort"),
    [
        pytest.param(["00:00", "01:00", "02:00"], False, id="the hour once"),
        pytest.param(["00:00", "01:00", "01:00", "02:00"], False, id="rows alike: repeated, or two hours"),
        pytest.param(["00:00", "01:00", "01:30", "01:00", "01:30", "02:00"], True, id="an order that means nothing"),
        pytest.param(["00:00", "01:30", "01:00", "01:30", "01:00", "02:00"], False, id="back twice"),
    ],
)
def test_an_hour_that_is_there_twice_and_not_told_apart_is_left_out_and_counted(hours: list[str], sort: bool) -> None:
    times = read([f"2018-11-04 {hour}" for hour in hours], Reading(CHICAGO, sort=sort))
    assert shown(times) == ["11-04 05:00", "11-04 08:00"]
    assert times.dropped == {"repeatedHour": len(hours) - 2}


def test_times_that_say_their_offset_need_no_zone_to_be_told_apart() -> None:
    times = read(["2018-11-04T01:00-05:00", "2018-11-04T01:00-06:00"], Reading(CHICAGO))
    assert np.diff(times.unix_ms).tolist() == [HOUR]


def test_the_clock_on_the_wall_is_told_in_the_zone() -> None:
    times = read(["2018-07-01T12:00Z", "2018-01-01T12:00Z"], Reading(sort=True))
    walls = [timestamps.shown(int(ms))[5:] for ms in clock.wall_ms(times.unix_ms, CHICAGO)]
    assert walls == ["07-01 07:00", "01-01 06:00"]
    assert clock.wall_ms(times.unix_ms, None) is times.unix_ms
