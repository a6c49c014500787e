"""What a text of a time column means, and what is refused because it could mean two things."""

import re

import numpy as np
import pytest

from skerry.core import errors
from skerry.core.series import timestamps

HOUR = 3_600_000
NEW_YEAR_2018 = 1_514_764_800_000


def parse(*texts: str, time_format: str = "") -> timestamps.Stamps:
    return timestamps.parse(np.array(texts), time_format, "t.csv, column 'at'")


def refusal(*texts: str, time_format: str = "") -> str:
    with pytest.raises(errors.InputError) as refused:
        parse(*texts, time_format=time_format)
    assert "t.csv, column 'at'" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("texts", "hours"),
    [
        pytest.param(["2018-01-01 00:00:00", "2018-01-01 01:00:00"], [0, 1], id="as pandas writes it"),
        pytest.param(["2018-01-01T00:00", " 2018-01-01T01:00 "], [0, 1], id="with a T, without seconds"),
        pytest.param(["2018-01-01", "2018-01-02"], [0, 24], id="days"),
        pytest.param(["2018-01-01T00:00:00.000", "2018-01-01T00:00:00.500"], [0, 0.5 / 3600], id="milliseconds"),
    ],
)
def test_iso_times_without_an_offset_are_what_the_clock_on_the_wall_showed(
    texts: list[str], hours: list[float]
) -> None:
    stamps = parse(*texts)
    assert not stamps.has_offset
    assert ((stamps.ms - NEW_YEAR_2018) / HOUR).tolist() == pytest.approx(hours)


def test_iso_times_with_an_offset_are_unix_time() -> None:
    stamps = parse("2018-01-01T01:00:00+01:00", "2018-01-01 00:00:00Z", "2017-12-31T18:00-0600")
    assert stamps.has_offset
    assert stamps.ms.tolist() == [NEW_YEAR_2018] * 3


def test_a_form_that_is_named_is_read_so() -> None:
    assert parse("02/01/2018 00:15", time_format="%d/%m/%Y %H:%M").ms[0] == NEW_YEAR_2018 + 24.25 * HOUR


def test_numbers_are_seconds_or_milliseconds_only_by_name() -> None:
    assert parse("1514764800", time_format="unix-s").ms.tolist() == [NEW_YEAR_2018]
    assert parse(str(NEW_YEAR_2018), time_format="unix-ms").ms.tolist() == [NEW_YEAR_2018]
    said = refusal("1514764800")
    assert "--time-format unix-s (seconds since 1970) or unix-ms (milliseconds)" in said


@pytest.mark.parametrize(
    ("text", "time_format"),
    [("636503616000000000", "unix-s"), ("-99999999999999999", "unix-ms"), ("2018 2018", "%Y %Y")],
)
def test_what_is_no_time_at_all_is_told_with_its_row(text: str, time_format: str) -> None:
    assert "row 0" in refusal(text, time_format=time_format)


def test_a_date_that_is_two_days_is_refused_with_both() -> None:
    said = refusal("01/01/2018 00:15", "02/01/2018 00:15")
    assert "row 1 is '02/01/2018 00:15', which can be read in more than one way" in said
    assert "'%d/%m/%Y %H:%M' (02 January 2018) or '%m/%d/%Y %H:%M' (01 February 2018)" in said


def test_a_file_that_can_be_read_in_one_way_still_has_it_named() -> None:
    said = refusal("02/01/2018", "31/12/2018")
    assert "the one form that fits all rows: name it, --time-format '%d/%m/%Y' (02 January 2018)" in said


@pytest.mark.parametrize(
    ("texts", "time_format", "said"),
    [
        pytest.param(["2018-01-01", ""], "", "row 1 has no time", id="an empty cell"),
        pytest.param(["2018-02-30"], "", "no such day or hour", id="the thirtieth of February"),
        pytest.param(["2018-01-01 25:00"], "", "no such day or hour", id="hour 25"),
        pytest.param(["2018-01-01", "02/01/2018"], "", "while other rows are ISO 8601", id="two forms in a column"),
        pytest.param(["2018-01-01 00:00", "2018-01-01 00:00Z"], "", "write all of them alike", id="some with offset"),
        pytest.param(["Monday"], "", "name its form with --time-format", id="a word"),
        pytest.param(["1/2/2018", "1.2.2018"], "%d/%m/%Y", "row 1 is '1.2.2018', which is not of the form", id="a row"),
        pytest.param(["1514764800"], "unix-ms", None, id="seconds read as milliseconds are a day in 1970"),
        pytest.param(["1514764800000"], "unix-s", "outside of the years 1800 to 2199", id="milliseconds as seconds"),
        pytest.param(["9999-12-31"], "", "outside of the years 1800 to 2199", id="a clock that was never set"),
    ],
)
def test_what_cannot_be_read_names_its_row(texts: list[str], time_format: str, said: str | None) -> None:
    if said is None:
        assert timestamps.shown(int(parse(*texts, time_format=time_format).ms[0])) == "1970-01-18 12:46:04"
    else:
        assert re.search(re.escape(said), refusal(*texts, time_format=time_format))
