"""A network whose rows influence one another is found, whatever the kind; one that only rounds differently is not."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skerry.core import errors, row_independence
from skerry.core.row_independence import Answer, Rows

W = np.random.default_rng(1).normal(size=(4, 3))
X = np.random.default_rng(2).normal(size=(20, 4))


def _network(after: Any) -> Answer:
    return lambda rows: {"y": after(rows["x"] @ W)}


def _softmax(y: NDArray[Any], axis: int) -> NDArray[Any]:
    e = np.exp(y - y.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize(
    "after",
    [
        lambda y: _softmax(y, 0),
        lambda y: (y - y.mean(0)) / (y.std(0) + 1e-5),
        lambda y: y + y.sum(0),
        lambda y: y - y[:1],
        lambda y: np.cumsum(y, axis=0),
        lambda y: np.roll(y, 1, axis=0),
        lambda y: np.where(len(y) > 1, np.nan, y),
    ],
    ids=[
        "softmax over the batch",
        "batch statistics",
        "sum over the batch",
        "the first row",
        "running sum",
        "a shift",
        "no number beside others",
    ],
)
def test_rows_that_influence_one_another_are_told(after: Any) -> None:
    verdict = row_independence.judge(_network(after), {"x": X})
    assert not verdict.passed
    assert "influence one another" in verdict.reason
    assert "output 'y' by " in verdict.reason
    assert verdict.output == "y"
    assert verdict.difference > verdict.tolerance


def test_only_another_order_shows_a_network_that_sorts_its_rows() -> None:
    rows = np.sort(X[:, :1], axis=0)
    verdict = row_independence.judge(lambda found: {"y": np.sort(found["x"], axis=0)}, {"x": rows})
    assert not verdict.passed
    assert "in reverse order" in verdict.reason


@pytest.mark.parametrize("after", [lambda y: y, lambda y: _softmax(y, 1), lambda y: y.argmax(1)])
def test_rows_that_are_answered_each_by_itself_pass(after: Any) -> None:
    verdict = row_independence.judge(_network(after), {"x": X})
    assert verdict.passed, verdict.reason
    assert verdict.rows == row_independence.MAX_ROWS


def test_the_scale_of_dynamic_quantization_is_no_influence() -> None:
    """Its int8 scale is taken from the whole run: rows differ by a step of it."""

    def answer(rows: Rows) -> Rows:
        scale = np.abs(rows["x"]).max() / 127
        return {"y": (np.round(rows["x"] / scale) * scale) @ W}

    verdict = row_independence.judge(answer, {"x": X})
    assert verdict.passed, verdict.reason


def test_at_most_so_many_rows_are_run() -> None:
    runs: list[int] = []

    def answer(rows: Rows) -> Rows:
        runs.append(len(rows["x"]))
        return {"y": rows["x"] @ W}

    row_independence.judge(answer, {"x": X})
    assert runs == [1] * (row_independence.MAX_ROWS + 1) + [row_independence.MAX_ROWS] * 2


@pytest.mark.parametrize("rows", [X[:1], np.zeros((5, 4)), np.ones((1, 4))], ids=["one", "zeros", "ones"])
def test_rows_that_are_all_alike_do_not_hide_it(rows: NDArray[Any]) -> None:
    assert not row_independence.judge(_network(lambda y: y - y.mean(0)), {"x": rows}).passed
    assert row_independence.judge(_network(lambda y: y), {"x": rows}).passed


def test_a_made_row_that_the_network_does_not_take_condemns_nothing() -> None:
    def answer(rows: Rows) -> Rows:
        if (rows["x"] != 3).any():
            raise errors.InputError("no such word")
        return {"y": rows["x"] * 2.0}

    assert row_independence.judge(answer, {"x": np.full((2, 4), 3)}).passed
    summed = row_independence.judge(lambda rows: {"y": answer(rows)["y"].sum(0) + rows["x"]}, {"x": np.full((2, 4), 3)})
    assert not summed.passed


def test_texts_are_rows_too() -> None:
    def answer(rows: Rows) -> Rows:
        return {"y": np.array([[len(text) * 1.0] for text in rows["x"].ravel()])}

    rows = np.array([[b"one"], [b"three"]], dtype=object)
    assert row_independence.judge(answer, {"x": rows}).passed
    assert not row_independence.judge(lambda found: {"y": answer(found)["y"] / len(found["x"])}, {"x": rows}).passed


def test_of_several_outputs_the_worst_is_named() -> None:
    def answer(rows: Rows) -> Rows:
        return {"good": rows["x"], "bad": rows["x"] + rows["x"].sum(0)}

    assert row_independence.judge(answer, {"x": X}).output == "bad"


def test_a_network_of_one_row_at_a_time_is_told_so() -> None:
    def answer(rows: Rows) -> Rows:
        if len(rows["x"]) != 1:
            raise errors.InputError("Got: 8 Expected: 1")
        return {"y": rows["x"]}

    verdict = row_independence.judge(answer, {"x": X})
    assert not verdict.passed
    assert "free first axis" in verdict.reason


def test_random_answers_are_told_as_that() -> None:
    draw = np.random.default_rng(3)
    verdict = row_independence.judge(_network(lambda y: y * draw.integers(0, 2, y.shape)), {"x": X})
    assert not verdict.passed
    assert "dropout" in verdict.reason


def test_an_output_of_another_shape_for_each_row_is_told() -> None:
    verdict = row_independence.judge(lambda rows: {"y": np.ones((1, 1 + int(rows["x"][0, 0] > 0)))}, {"x": X})
    assert not verdict.passed
    assert "another shape" in verdict.reason
