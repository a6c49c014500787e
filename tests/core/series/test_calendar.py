"""What is known beforehand of a moment, as columns: their names and values, and what there is not."""

import numpy as np
import pytest

from skerry.core import errors
from skerry.core.series import calendar

HOUR_MS = 3_600_000


def test_harmonics_are_told_beside_the_turn_itself() -> None:
    moments = np.arange(0, 48, 3, dtype=np.int64) * HOUR_MS
    parts = ("hour:3", "yearday:2")
    named = dict(zip(calendar.columns(parts), calendar.values(moments, parts).T, strict=True))
    assert [*named] == [
        *("hour_sin", "hour_cos", "hour2_sin", "hour2_cos", "hour3_sin", "hour3_cos"),
        *("yearday_sin", "yearday_cos", "yearday2_sin", "yearday2_cos"),
    ]
    day = 2 * np.pi * np.arange(0, 48, 3) / 24
    assert named["hour3_sin"] == pytest.approx(np.sin(3 * day), abs=1e-9)
    assert named["yearday2_cos"] == pytest.approx(np.cos(2 * 2 * np.pi / 365.2425 * np.repeat([0, 1], 8)))


def test_one_harmonic_is_the_turn_itself_under_its_old_names() -> None:
    moments = np.arange(0, 24, dtype=np.int64) * HOUR_MS
    assert calendar.columns(("hour:1", "weekday")) == calendar.columns(("hour", "weekday"))
    assert (calendar.values(moments, ("hour:1",)) == calendar.values(moments, ("hour",))).all()


def test_with_harmonics_a_shift_that_begins_sharply_is_a_sum_of_columns() -> None:
    """Least squares over a day of quarters: a shift of 10 of 24 hours."""
    moments = np.arange(96, dtype=np.int64) * HOUR_MS // 4
    shift = ((np.arange(96) >= 32) & (np.arange(96) < 72)).astype(float)

    def left(part: str) -> float:
        given = np.column_stack([np.ones(96), calendar.values(moments, (part,))])
        return float(np.abs(given @ np.linalg.lstsq(given, shift, rcond=None)[0] - shift).mean())

    assert left("hour:6") < left("hour") / 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param(("moon",), "'moon' is none of hour, weekday, yearday", id="the moon"),
        pytest.param(("weekday:2",), "has no harmonics", id="of what does not turn"),
        pytest.param(("hour:0",), "from 1 to 12", id="none"),
        pytest.param(("hour:13",), "from 1 to 12", id="too many"),
        pytest.param(("hour:",), "from 1 to 12", id="an empty number"),
        pytest.param(("hour:0013",), "from 1 to 12", id="too many behind zeros"),
        pytest.param(("hour:²",), "from 1 to 12", id="a digit that is none"),
        pytest.param(("hour:" + "1" * 5000,), "from 1 to 12", id="a number without end"),
        pytest.param(("hour", "hour:2"), "'hour' is named twice", id="twice"),
    ],
)
def test_what_there_is_not_is_refused_by_name(parts: tuple[str, ...], said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        calendar.check(parts)
