"""Which readings count, and how many do not, by reason."""

import numpy as np
import pytest

from skerry.core import errors
from skerry.core.series import cleaning, grid
from skerry.core.series.cleaning import Readings

HOUR = 3_600_000
NAN = float("nan")


def readings(*rows: tuple[float, float, float]) -> Readings:
    """(hour, target, temp) each."""
    table = np.array(rows)
    return Readings("", ("load", "temp"), (table[:, 0] * HOUR).astype(np.int64), table[:, 1:])


def clean(found: Readings, duplicates: cleaning.Duplicates = "", **valid: cleaning.Range) -> Readings:
    return cleaning.clean(found, valid, duplicates, "t.csv")


def loads(found: Readings) -> list[tuple[int, float]]:
    return [(int(ms) // HOUR, float(row[0])) for ms, row in zip(found.unix_ms, found.values, strict=True)]


def test_rows_without_a_number_are_left_out_and_counted_by_what_they_lack() -> None:
    kept = clean(readings((0, 1, 5), (1, NAN, 5), (2, 3, NAN), (3, np.inf, 5), (4, 2, 5)))
    assert loads(kept) == [(0, 1), (4, 2)]
    assert kept.dropped == {"emptyTarget": 2, "emptyFeature": 1}


def test_impossible_values_are_left_out_and_the_ends_of_the_range_are_possible() -> None:
    kept = clean(readings((0, 1, 0), (1, 2, 200), (2, 3, 340), (3, 4, 341)), temp=(200, 340))
    assert loads(kept) == [(1, 2), (2, 3)]
    assert kept.dropped == {"outOfRange": 2}


def test_equal_rows_of_one_time_are_one_reading() -> None:
    kept = clean(readings((0, 1, 5), (1, 2, 0.0), (1, 2, -0.0), (1, 2, 0.0), (2, 1, 5)))
    assert loads(kept) == [(0, 1), (1, 2), (2, 1)]
    assert kept.dropped == {"duplicateRow": 2}


def test_the_last_row_of_a_time_counts_though_it_repeats_an_earlier_one() -> None:
    assert loads(clean(readings((0, 1, 5), (0, 2, 5), (0, 1, 5)), "last")) == [(0, 1)]
    assert loads(clean(readings((0, 1, 5), (0, 2, 5), (0, 1, 5)), "first")) == [(0, 1)]


CONTRADICTING = readings((0, 1, 5), (1, 2, 5), (1, 4, 5), (1, 9, 8), (2, 7, 5))


def test_rows_that_contradict_one_another_are_refused_with_both_values() -> None:
    with pytest.raises(errors.InputError) as refused:
        clean(CONTRADICTING)
    assert "1 times have rows that contradict one another, first 1970-01-01 01:00 UTC, where load is 2 and 4" in str(
        refused.value
    )
    assert "--duplicates first, last or mean" in str(refused.value)


@pytest.mark.parametrize(("rule", "load"), [("first", 2.0), ("last", 9.0), ("mean", 5.0)])
def test_somebody_says_which_row_of_a_time_counts(rule: cleaning.Duplicates, load: float) -> None:
    kept = clean(CONTRADICTING, rule)
    assert loads(kept) == [(0, 1), (1, load), (2, 7)]
    assert kept.dropped == {"contradictingRow": 2}


def test_an_impossible_row_does_not_contradict_a_possible_one() -> None:
    assert loads(clean(readings((0, 1, 0), (0, 1, 280)), temp=(200, 340))) == [(0, 1)]


def test_rows_in_another_order_come_out_in_order_of_time() -> None:
    assert loads(clean(readings((2, 3, 5), (0, 1, 5), (1, 2, 5)))) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("text", ["temp", "temp=", "temp=200", "=1:2", "temp=b:3", "temp=3:1", "temp=nan:1"])
def test_a_range_is_a_column_and_two_numbers(text: str) -> None:
    with pytest.raises(errors.InputError, match="must be COLUMN=LOW:HIGH"):
        cleaning.parse_ranges([text])


def test_ranges_may_be_open_and_columns_may_hold_equals_signs() -> None:
    assert cleaning.parse_ranges(["a=b=1:2", "load=0:"]) == {"a=b": (1, 2), "load": (0, float("inf"))}


def test_hours_without_a_reading_stay_empty_and_are_counted() -> None:
    laid, beside = grid.lay(readings((0, 1, 5), (1, 2, 5), (4, 3, 5), (4.5, 9, 5), (6, 4, 5)), HOUR, "t.csv")
    assert np.isnan(laid.values[:, 0]).tolist() == [False, False, True, True, False, True, False]
    assert (laid.lacking, laid.gaps, beside) == (3, 2, 1)


@pytest.mark.parametrize(
    ("rows", "step_ms", "said"),
    [
        pytest.param([(0, 1, 5), (1, 2, 5), (2, 3, 5)], 24 * HOUR, "set forecast.stepSeconds", id="a step too long"),
        pytest.param([(0, 1, 5), (1e6, 2, 5)], 100, "more than", id="a clock that was never set"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(rows: list[tuple[float, float, float]], step_ms: int, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        grid.lay(readings(*rows), step_ms, "t.csv")


def test_nothing_left_is_refused() -> None:
    with pytest.raises(errors.InputError, match="no row is left"):
        grid.lay(clean(readings((0, NAN, 5))), HOUR, "t.csv")
