"""What each step takes out of rows, that shape and datatype stay, and which rows a step refuses."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skerry.core import redaction, tensors

STEPS = [redaction.Mask(((0, 2),)), redaction.Crop(((1, 4), (0, 1))), redaction.Zero((1,)), redaction.Round(3)]
IMAGES = np.arange(1, 33, dtype=np.uint8).reshape(2, 4, 4)


def test_mask_blanks_the_box_of_every_row_and_nothing_else() -> None:
    out = redaction.Mask(((1, 3), (0, 2))).apply(IMAGES)
    assert (out[:, 1:3, 0:2] == 0).all() and (out[:, 1:3, 2:] == IMAGES[:, 1:3, 2:]).all()
    assert (out[:, [0, 3]] == IMAGES[:, [0, 3]]).all() and IMAGES.min() == 1


def test_a_box_of_fewer_axes_takes_the_others_whole() -> None:
    assert (redaction.Mask(((1, 2),)).apply(IMAGES)[:, 1] == 0).all()


def test_crop_keeps_the_shape_and_blanks_what_lies_outside() -> None:
    out = redaction.Crop(((1, 3), (1, 3))).apply(IMAGES)
    assert out.shape == IMAGES.shape and (out[:, 1:3, 1:3] == IMAGES[:, 1:3, 1:3]).all()
    assert np.count_nonzero(out) == 8


def test_zero_blanks_features_of_tables_and_of_windows() -> None:
    step = redaction.Zero((0, 2))
    assert step.apply(np.ones((2, 3), dtype=np.float32)).tolist() == [[0, 1, 0]] * 2
    assert step.apply(np.ones((1, 5, 3))).sum() == 5


def test_round_takes_whole_numbers_to_the_multiple_below_and_others_to_the_nearest() -> None:
    assert redaction.Round(32).apply(np.array([0, 31, 32, 255], dtype=np.uint8)).tolist() == [0, 0, 32, 224]
    assert redaction.Round(100).apply(np.array([-128, -100, -1, 127], dtype=np.int8)).tolist() == [
        -128,
        -100,
        -100,
        100,
    ]
    assert redaction.Round(0.5).apply(np.array([0.2, 0.3, -0.8], dtype=np.float32)).tolist() == [0.0, 0.5, -1.0]


def test_what_cannot_be_rounded_becomes_nought_and_never_stays() -> None:
    rows = np.array([[np.nan, np.inf, 65504.0]], dtype=np.float16)
    assert redaction.Round(50_000).apply(rows).tolist() == [[0.0, 0.0, 49_984.0]]
    assert redaction.Round(60_000).apply(np.full((1, 1), -np.inf, dtype=np.float32)).tolist() == [[0.0]]


@given(
    arrays.arrays(st.sampled_from(["u1", "i1", "<i2", "<f2", "<f4", "<f8"]), (3, 4, 2)),
    st.sampled_from(
        [redaction.Mask(((0, 2),)), redaction.Crop(((1, 4), (0, 1))), redaction.Zero((1,)), redaction.Round(3)]
    ),
)
def test_rows_alone_and_together_become_the_same_and_a_second_time_changes_nothing(
    rows: np.ndarray, step: redaction.Step
) -> None:
    together = step.apply(rows)
    assert (together.shape, together.dtype) == (rows.shape, rows.dtype)
    assert np.array_equal(together, np.concatenate([step.apply(rows[at : at + 1]) for at in range(3)]), equal_nan=True)
    if not isinstance(step, redaction.Round):
        assert np.array_equal(step.apply(together), together, equal_nan=True)


@pytest.mark.parametrize(
    ("step", "shape", "datatype", "why"),
    [
        (redaction.Mask(((0, 5),)), (4, 4), "UINT8", r"the shape \[4, 4\]"),
        (redaction.Crop(((0, 1), (0, 1), (0, 1))), (4, 4), "UINT8", "the shape"),
        (redaction.Zero((3,)), (3,), "FP32", "3 features, none with the index 3"),
        (redaction.Zero((0,)), (), "FP32", "0 features"),
        (redaction.Zero((0,)), (1,), "BYTES", "texts"),
        (redaction.Mask(((0, 1),)), (1,), "BYTES", "texts"),
        (redaction.Round(2), (1,), "BOOL", "true and false"),
        (redaction.Round(0.5), (1,), "UINT8", "whole numbers"),
        (redaction.Round(300), (1,), "UINT8", "1..255"),
    ],
)
def test_a_step_that_does_not_fit_says_why(
    step: redaction.Step, shape: tuple[int, ...], datatype: str, why: str
) -> None:
    tensor = tensors.Tensor("x", datatype, (1, *shape), np.empty((1, *shape), dtype=tensors.DTYPES[datatype]))
    assert re.search(why, redaction.fault((step,), [tensor]))
    assert str(step) in redaction.fault((step,), [tensor])


def test_without_steps_a_tensor_is_not_even_copied() -> None:
    tensor = tensors.Tensor.of("x", IMAGES)
    assert redaction.apply((), tensor) is tensor
