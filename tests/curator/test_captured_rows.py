"""Which captured rows stay where there is no room for all: each node makes room for itself."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import datasets, digests
from skerry.curator.captured_rows import CapturedRows
from skerry.curator.examples import Captured
from skerry.curator.labels import Label

ROW_BYTES = 704  # one of these rows, with all that it holds

Sent = tuple[str, int, int]  # node, time, the input's number


def rows_of(sent: Iterable[Sent], rows: int) -> CapturedRows:
    """What stays of all that was sent, with room for so many rows."""
    captured_rows = CapturedRows(rows * ROW_BYTES)
    for node, at_unix_ms, number in sent:
        row = np.array([*divmod(number, 256), 0, 0], dtype=np.uint8).reshape(2, 2)
        name = digests.sha256(f"{node} {at_unix_ms} {number}".encode())
        captured = Captured(name, row, datasets.input_digest(row), False, node, "", None, 0)
        captured_rows.add(captured, Label(0, (), "Teacher", "t", at_unix_ms))
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
