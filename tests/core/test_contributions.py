"""What one node may weigh: each row of a table is a fleet, what its nodes sent, and what is kept of it."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import contributions
from skerry.core.contributions import Fleet

TEN = Fleet(10)
NAMES = tuple("0123456789")


def kept(per_node: list[int], base: int, fleet: Fleet = TEN, trusted: tuple[int, ...] = ()) -> list[int]:
    """How many rows of one class stay of each node."""
    node = np.repeat(np.arange(len(per_node)), per_node)
    order = [f"{index * 7919 % 10_007:05}" for index in range(len(node))]
    classes = np.zeros(len(node), dtype=np.int64)
    keep = contributions.within_share(node, classes, order, np.array([base]), trusted, fleet)
    return np.bincount(node[keep], minlength=len(per_node)).tolist()


@pytest.mark.parametrize(
    ("per_node", "base", "fleet", "expected"),
    [
        pytest.param([1500, 20, 20], 0, Fleet(3), [1500, 20, 20], id="three nodes learn as they always did"),
        pytest.param([1500], 0, Fleet(1), [1500], id="one node learns alone"),
        pytest.param([20] * 10, 0, TEN, [20] * 10, id="nodes alike are not bounded"),
        pytest.param([40, *[20] * 9], 0, TEN, [40, *[20] * 9], id="twice as many as the others is no flood"),
        pytest.param([1500, *[20] * 9], 0, TEN, [60, *[20] * 9], id="a flood is a quarter of what stays"),
        pytest.param([1500, *[20] * 9], 300, TEN, [160, *[20] * 9], id="imported rows weigh with the others"),
        pytest.param([1500], 300, TEN, [100], id="beside imported rows alone it is a quarter, too"),
        pytest.param([6, 1], 0, TEN, [6, 1], id="a few rows are always learned"),
        pytest.param([30, 10, 0], 0, TEN, [30, 10, 0], id="where few nodes have a class one may have most of it"),
        pytest.param([90, 10, 0], 0, TEN, [30, 10, 0], id="but not nearly all of it"),
        pytest.param([90, 0, 0], 0, TEN, [8, 0, 0], id="what one alone has is a few rows"),
    ],
)
def test_what_stays_of_each_node(per_node: list[int], base: int, fleet: Fleet, expected: list[int]) -> None:
    assert kept(per_node, base, fleet) == expected


def test_a_trusted_node_is_not_bounded() -> None:
    assert kept([1500, *[20] * 9], 0, trusted=(0,)) == [1500, *[20] * 9]


@given(st.lists(st.integers(0, 400), min_size=4, max_size=12), st.integers(0, 500))
def test_no_node_gives_more_than_its_share_or_the_floor(per_node: list[int], base: int) -> None:
    stays = kept(per_node, base, Fleet(12))
    givers = sum(count > 0 for count in per_node)
    share = max(contributions.SHARE, 0 if base or givers < 2 else contributions.FEW_NODES_SHARE / givers)
    for count in stays:
        assert count <= max(contributions.FLOOR, share * (sum(stays) + base))


def test_a_node_that_alone_has_several_classes_gives_a_few_rows_of_each() -> None:
    node, classes = np.zeros(90, dtype=np.int64), np.repeat(np.arange(3), 30)
    order = [f"{index:05}" for index in range(90)]
    keep = contributions.within_share(node, classes, order, np.zeros(3, dtype=np.int64), (), TEN)
    assert np.bincount(classes[keep]).tolist() == [contributions.FLOOR] * 3


def test_the_same_rows_stay_as_others_come() -> None:
    node = np.array([0] * 200 + [1] * 20 + [2] * 20 + [3] * 20)
    order = [f"{index * 7919 % 10_007:05}" for index in range(len(node))]
    few = contributions.within_share(node, np.zeros_like(node), order, np.array([1]), (), TEN)
    more = contributions.within_share(node, np.zeros_like(node), order, np.array([60]), (), TEN)
    assert few.sum() < more.sum() and not (few & ~more).any()


def test_a_class_of_one_node_waits_unless_it_was_imported_or_the_node_is_trusted() -> None:
    node, classes = np.array([0, 0, 1, 1, 2, 3]), np.array([1, 2, 2, 2, 0, 3])
    base = np.array([50, 0, 0, 0])
    assert contributions.alone(node, classes, base, (), TEN) == {1: 0, 3: 3}
    assert contributions.alone(node, classes, base, (0,), TEN) == {3: 3}
    assert contributions.alone(node, classes, base, (), Fleet(3)) == {}


class Told:
    """Truths of ten nodes beside a teacher."""

    def __init__(self, seed: int, teacher_wrong: float = 0.03, rows: int = 60) -> None:
        rng = np.random.default_rng(seed)
        self.nodes = [f"n{index}" for index in range(10)]
        self.node = np.repeat(np.arange(10), rows)
        self.truth = rng.integers(0, 10, len(self.node))
        wrong = rng.random(len(self.node)) < teacher_wrong
        self.teacher = np.where(wrong, (self.truth + rng.integers(1, 10, len(self.node))) % 10, self.truth)

    def judge(self, fleet: Fleet = TEN) -> tuple[dict[str, contributions.Truths], np.ndarray]:
        return contributions.judge_truths(self.nodes, self.node, self.teacher, self.truth, NAMES, fleet)


@pytest.mark.parametrize("wrong", [0.0, 0.03, 0.2])
@pytest.mark.parametrize("seed", range(10))
def test_honest_truths_beat_a_wrong_teacher(seed: int, wrong: float) -> None:
    truths, aside = Told(seed, wrong).judge()
    assert not aside.any()
    assert sum(one.contradicting for one in truths.values()) == pytest.approx(600 * wrong, abs=45)


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_flips_is_an_outlier_and_told(seed: int) -> None:
    told = Told(seed)
    mine = told.node == 9
    told.truth[mine] = (told.truth[mine] + 1) % 10
    truths, aside = told.judge()
    assert (aside[mine] == (told.teacher != told.truth)[mine]).all() and not aside[~mine].any()
    assert "of its 60 truths contradict the teacher, of the other nodes' " in truths["n9"].outlier


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_flips_one_class_is_found_by_that_class(seed: int) -> None:
    told = Told(seed, rows=150)
    flipped = (told.node == 9) & (told.truth == 3)
    told.truth[flipped] = 8
    truths, aside = told.judge()
    assert aside[flipped & (told.teacher == 3)].all() and aside[told.node != 9].sum() == 0
    assert "truths on '3' contradict" in truths["n9"].outlier


def test_one_node_with_truths_alone_is_compared_with_a_teacher_that_may_be_wrong_on_a_fifth() -> None:
    told = Told(0)
    only = told.node == 9
    told.truth[~only] = -1
    _, aside = told.judge()
    assert not aside.any()
    told.truth[only] = (told.truth[only] + 1) % 10
    _, aside = told.judge()
    assert aside[only].sum() == (told.teacher != told.truth)[only].sum()


def test_a_trusted_node_and_a_small_fleet_may_contradict() -> None:
    told = Told(0)
    told.truth[told.node == 9] = 0
    assert not told.judge(Fleet(10, ("n9",)))[1].any()
    assert not told.judge(Fleet(3))[1].any()


@pytest.mark.parametrize(("k", "n", "p"), [(0, 10, 0.1), (3, 10, 0.1), (10, 10, 0.5), (80, 100, 0.5), (900, 1000, 0.8)])
def test_the_tail_is_that_of_the_binomial(k: int, n: int, p: float) -> None:
    exact = sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    found = contributions.exceeds(k, n, p)
    assert found == pytest.approx(exact, rel=1e-6) or (k <= n * p and found == 1.0)
