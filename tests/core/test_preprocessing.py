"""Steps do what the manifest says, treat each row alike, and refuse what they cannot do."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, preprocessing


def test_affine_scales_bytes_to_float32() -> None:
    steps = preprocessing.parse([{"op": "affine", "factor": 1 / 255, "offset": -0.5}])
    out = preprocessing.apply(steps, np.array([[0, 255]], dtype=np.uint8))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[-0.5, 0.5]], atol=1e-7)


def test_affine_takes_one_number_per_entry_of_the_last_axis() -> None:
    steps = preprocessing.parse([{"op": "affine", "factor": [1, 2], "offset": [0.5, 0]}])
    np.testing.assert_array_equal(preprocessing.apply(steps, np.ones((1, 3, 2))), [[[1.5, 2.0]] * 3])


def test_affine_refuses_another_width() -> None:
    steps = preprocessing.parse([{"op": "affine", "factor": [1, 2]}])
    with pytest.raises(errors.InputError, match="2 factors"):
        preprocessing.apply(steps, np.ones((1, 3)))


def test_reshape_keeps_the_batch_axis() -> None:
    steps = preprocessing.parse([{"op": "reshape", "shape": [1, -1]}])
    assert preprocessing.apply(steps, np.ones((5, 2, 3))).shape == (5, 1, 6)


def test_reshape_refuses_rows_of_another_size() -> None:
    with pytest.raises(errors.InputError, match="cannot become"):
        preprocessing.apply(preprocessing.parse([{"op": "reshape", "shape": [7]}]), np.ones((1, 6)))


def test_cast_changes_the_dtype() -> None:
    out = preprocessing.apply(preprocessing.parse([{"op": "cast", "datatype": "INT64"}]), np.array([[3.0]]))
    assert out.dtype == np.int64
    assert out[0, 0] == 3


@pytest.mark.parametrize("value", [300.0, -1.0, float("nan"), float("inf")])
def test_cast_refuses_what_does_not_fit(value: float) -> None:
    with pytest.raises(errors.InputError, match="does not fit"):
        preprocessing.apply(preprocessing.parse([{"op": "cast", "datatype": "UINT8"}]), np.array([[value]]))


WORDS = [{"op": "vocabulary", "tokens": ["turn", "on", "light"], "length": 4}]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (b"turn on light", [0, 2, 3, 4]),
        (b"  Turn\tON\nlight ", [0, 2, 3, 4]),
        (b"please turn on light on", [2, 3, 4, 3]),
        (b"unheard of", [0, 0, 1, 1]),
        (b"", [0, 0, 0, 0]),
        ("ünheard light".encode(), [0, 0, 1, 4]),
    ],
    ids=["padded in front", "white space and case", "the last words win", "unknown words", "no words", "not ASCII"],
)
def test_a_vocabulary_turns_text_into_ids(text: bytes, ids: list[int]) -> None:
    out = preprocessing.apply(preprocessing.parse(WORDS), np.array([[text]], dtype=object))
    assert out.dtype == np.int64
    assert out.tolist() == [ids]


def test_a_vocabulary_refuses_bytes_that_are_no_text() -> None:
    with pytest.raises(errors.InputError, match="UTF-8"):
        preprocessing.apply(preprocessing.parse(WORDS), np.array([b"\xff\xfe"], dtype=object))


def test_a_vocabulary_takes_one_text_per_row() -> None:
    with pytest.raises(errors.InputError, match="one text per row"):
        preprocessing.apply(preprocessing.parse(WORDS), np.array([[b"a", b"b"]], dtype=object))


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_rows_together_or_alone_give_the_same_bits(rows: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (rows, 4, 4), dtype=np.uint8)
    steps = preprocessing.parse(
        [{"op": "affine", "factor": 0.0039, "offset": 0.1}, {"op": "reshape", "shape": [1, 4, 4]}]
    )
    together = preprocessing.apply(steps, x)
    alone = np.concatenate([preprocessing.apply(steps, row[None]) for row in x])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "affine", "factor": 2.0, "offset": 0.0},
        {"op": "affine", "factor": [1.0, 2.0], "offset": [0.0, 1.0]},
        {"op": "reshape", "shape": [2, -1]},
        {"op": "cast", "datatype": "FP32"},
        {
            "op": "vocabulary",
            "tokens": ["a"],
            "length": 3,
            "lower": False,
            "padId": 5,
            "oovId": 6,
            "firstId": 7,
        },
    ],
    ids=lambda fields: str(fields["op"]),
)
def test_a_step_writes_what_it_read(fields: dict[str, object]) -> None:
    assert preprocessing.parse([fields])[0].fields() == fields


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"op": "affine"}, "factor is missing"),
        ({"op": "affine", "factor": float("nan")}, "finite"),
        ({"op": "affine", "factor": 1e300}, "float32"),
        ({"op": "affine", "factor": True}, "finite"),
        ({"op": "affine", "factor": []}, "numbers"),
        ({"op": "affine", "factor": 1, "ofset": 1}, "ofset"),
        ({"op": "reshape", "shape": [0]}, "positive"),
        ({"op": "reshape", "shape": [-1, -1]}, "at most one"),
        ({"op": "reshape", "shape": "28"}, "list"),
        ({"op": "reshape", "shape": [1.5]}, "whole"),
        ({"op": "cast", "datatype": "BYTES"}, "datatype"),
        ({"op": "cast", "datatype": ["x"]}, "datatype"),
        ({"op": "vocabulary", "tokens": [], "length": 4}, "tokens"),
        ({"op": "vocabulary", "tokens": ["a", "a"], "length": 4}, "distinct"),
        ({"op": "vocabulary", "tokens": ["a"], "length": 0}, "length"),
        ({"op": "vocabulary", "tokens": [1], "length": 4}, "tokens"),
        ({"op": "resize"}, "unknown"),
        ({"factor": 1}, "op"),
        ("affine", "object"),
    ],
)
def test_a_malformed_step_is_named(fields: object, names: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        preprocessing.parse([fields])
    assert names in str(caught.value)
    assert "preprocessing[0]" in str(caught.value)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(errors.InputError, match="at most"):
        preprocessing.parse([{"op": "cast", "datatype": "FP32"}] * 17)


@pytest.mark.parametrize(
    ("steps", "rows", "says"),
    [
        pytest.param(
            [{"op": "cast", "datatype": "FP32"}], [[0.0, 1e300]], "row 0, column 1 holds inf", id="FP64 to FP32"
        ),
        pytest.param([{"op": "cast", "datatype": "FP16"}], [[1.0], [7e4]], "row 1, column 0 holds inf", id="to FP16"),
        pytest.param([{"op": "affine", "factor": 10.0}], [[3e38]], "row 0, column 0 holds inf", id="a scale"),
        pytest.param(
            [{"op": "affine", "factor": 1e30}, {"op": "affine", "factor": 0.0}],
            [[1e30]],
            "holds nan",
            id="and then nothing",
        ),
    ],
)
def test_an_infinity_that_preprocessing_makes_is_refused_with_its_place(
    steps: list[dict[str, Any]], rows: list[list[float]], says: str
) -> None:
    with pytest.raises(errors.InputError, match=f"after the preprocessing: .*{says}, which is not finite"):
        preprocessing.apply(preprocessing.parse(steps), np.array(rows))
