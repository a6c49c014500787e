"""Which captured rows stay where there is no room for all: each node makes room for itself."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import datasets, digests
from skerry.curator.captured_rows import CapturedRows
from skerry.curator.examples import Captured
from skerry.curator.labels import Label

ROW_BYTES = 704  # one of these rows, with all that it holds

Sent = tuple[str, int, int]  # node, time, the input's number


def rows_of(sent: Iterable[Sent], rows: int, label: Callable[[int], int] = lambda number: 0) -> CapturedRows:
    """What stays of all that was sent, with room for so many rows; `label` is the class of an input."""
    captured_rows = CapturedRows(rows * ROW_BYTES)
    for node, at_unix_ms, number in sent:
        row = np.array([*divmod(number, 256), 0, 0], dtype=np.uint8).reshape(2, 2)
        name = digests.sha256(f"{node} {at_unix_ms} {number}".encode())
        captured = Captured(name, row, datasets.input_digest(row), False, node, "", None, 0)
        captured_rows.add(captured, Label(label(number), (), "Teacher", "t", at_unix_ms))
    return captured_rows


def held(captured_rows: CapturedRows) -> dict[str, list[int]]:
    """Times of the rows that stayed, by node."""
    times: dict[str, list[int]] = {}
    for row in sorted(captured_rows.rows, key=lambda row: row.label.at_unix_ms):
        times.setdefault(row.node, []).append(row.label.at_unix_ms)
    return times


def test_a_node_that_floods_pushes_out_its_own_rows_and_nobody_elses() -> None:
    quiet: Sequence[Sent] = [(f"node-{number % 9}", number, number) for number in range(90)]
    flood: Sequence[Sent] = [("hostile", 1000 + number, 1000 + number) for number in range(5000)]
    captured_rows = rows_of([*quiet, *flood], rows=120)
    times = held(captured_rows)
    assert times.pop("hostile") == list(range(5970, 6000))
    assert sum(map(len, times.values())) == 90
    assert captured_rows.left_out == {"overBudget": 4970}


def test_of_one_node_the_oldest_make_room() -> None:
    assert held(rows_of([("north", at, at) for at in range(10)], rows=4)) == {"north": [6, 7, 8, 9]}


def classes_of(captured_rows: CapturedRows, node: str) -> Counter[int]:
    return Counter(row.label.label for row in captured_rows.rows if row.node == node)


def test_the_rare_class_of_a_node_is_not_pushed_out_by_its_common_ones() -> None:
    """The rare rows are its oldest, too: by age alone they would be the first to go."""
    sent = [("north", at, at) for at in range(1000)]
    captured_rows = rows_of(sent, rows=60, label=lambda number: 2 if number < 5 else number % 2)
    assert classes_of(captured_rows, "north") == {2: 5, 0: 27, 1: 28}


def test_a_flood_of_one_class_takes_no_room_from_another_nodes_rare_class() -> None:
    quiet: Sequence[Sent] = [("north", at, at) for at in range(40)]
    flood: Sequence[Sent] = [("hostile", 1000 + at, 1000 + at) for at in range(5000)]
    captured_rows = rows_of([*quiet, *flood], rows=60, label=lambda number: 1 if number < 4 or number >= 1000 else 0)
    assert classes_of(captured_rows, "north") == {0: 26, 1: 4}
    assert classes_of(captured_rows, "hostile") == {1: 30}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=60), st.randoms(use_true_random=False))
def test_in_whatever_order_rows_of_several_classes_came_the_same_stay(
    given_: list[tuple[str, int]], chance: random.Random
) -> None:
    sent = [(node, number, number) for number, (node, _) in enumerate(given_)]
    shuffled = list(sent)
    chance.shuffle(shuffled)
    kept = [
        {row.hex for row in rows_of(one, rows=12, label=lambda number: given_[number][1]).rows}
        for one in (sent, shuffled)
    ]
    assert kept[0] == kept[1] and len(kept[0]) == min(12, len(sent))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=60), st.randoms(use_true_random=False))
def test_in_whatever_order_they_came_the_same_rows_stay(timed: list[tuple[str, int]], chance: random.Random) -> None:
    sent = [(node, at * 100 + number, number) for number, (node, at) in enumerate(timed)]
    expected = held(rows_of(sent, rows=12))
    sizes = Counter({node: len(times) for node, times in expected.items()})
    assert sizes.total() == min(12, len(sent))
    for node, its in Counter(node for node, _, _ in sent).items():
        assert sizes[node] == its or sizes[node] >= max(sizes.values()) - 1, "who takes less than others loses nothing"
    shuffled = list(sent)
    chance.shuffle(shuffled)
    assert held(rows_of(shuffled, rows=12)) == expected


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_an_input_that_passes_from_node_to_node_is_weighed_once(sent: list[Sent]) -> None:
    captured_rows = rows_of(sent, rows=6)
    distinct = len({number for _, _, number in sent})
    assert len(captured_rows.rows) <= 6
    assert len(captured_rows.rows) == distinct or distinct > 6
    more = [("e", 100 + number, 100 + number) for number in range(6)]
    last = rows_of([*sent, *more], rows=6)
    assert len(last.rows) == 6, "what was taken off and put on again adds up"
