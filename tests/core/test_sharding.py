"""Every row of the training parts is read by one worker, nobody has much more than his share, and parts stay whole."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import sharding
from skerry.core.sharding import Slice

PARTS = st.lists(st.integers(0, 500), max_size=12)
WORKERS = st.integers(1, 9)


def rows(plan: tuple[tuple[Slice, ...], ...], samples: list[int]) -> list[list[tuple[int, int]]]:
    """By worker, (part, row) of all it reads."""
    return [[(one.part, row) for one in mine for row in range(one.first, samples[one.part], one.step)] for mine in plan]


@given(samples=PARTS, workers=WORKERS)
def test_every_row_is_read_by_exactly_one_worker(samples: list[int], workers: int) -> None:
    read = rows(sharding.plan(samples, workers), samples)
    assert len(read) == workers
    assert sorted(itertools.chain(*read)) == [(part, row) for part, size in enumerate(samples) for row in range(size)]


@given(samples=PARTS, workers=WORKERS)
def test_nobody_has_more_than_twice_his_share_and_a_row_of_each_part(samples: list[int], workers: int) -> None:
    read = rows(sharding.plan(samples, workers), samples)
    assert max(map(len, read)) <= 2 * sum(samples) / workers + len(samples)


@given(samples=PARTS, workers=WORKERS)
def test_the_same_numbers_give_the_same_plan_and_counts_are_right(samples: list[int], workers: int) -> None:
    plan = sharding.plan(samples, workers)
    assert plan == sharding.plan(list(samples), workers)
    for mine, read in zip(plan, rows(plan, samples), strict=True):
        assert sum(one.count_of(samples[one.part]) for one in mine) == len(read)
        assert list(mine) == sorted(mine, key=lambda one: one.part)


@pytest.mark.parametrize(
    ("samples", "workers", "expected"),
    [
        pytest.param([5, 3], 1, ((Slice(0), Slice(1)),), id="one worker reads all parts in their order"),
        pytest.param([10], 2, ((Slice(0, 0, 2),), (Slice(0, 1, 2),)), id="a single part is dealt row by row"),
        pytest.param([4, 4], 2, ((Slice(0),), (Slice(1),)), id="equal parts go to one worker each"),
        pytest.param(
            [9, 1, 1],
            2,
            ((Slice(0, 0, 2), Slice(2)), (Slice(0, 1, 2), Slice(1))),
            id="small parts go to who has least",
        ),
    ],
)
def test_who_reads_what(samples: list[int], workers: int, expected: tuple[tuple[Slice, ...], ...]) -> None:
    assert sharding.plan(samples, workers) == expected
