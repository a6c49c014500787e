"""Bytes on the wire become arrays and back, exactly; sizes are checked before anything is allocated."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skerry.core import errors, tensors
from skerry.core.tensors import Spec, Tensor

FIXED = [name for name in tensors.DTYPES if name not in ("BYTES", "BF16", "BOOL")]


@given(st.data())
def test_every_fixed_datatype_reads_back_as_written(data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(FIXED))
    array = data.draw(hnp.arrays(tensors.DTYPES[datatype], hnp.array_shapes(max_dims=3, max_side=4)))
    raw = tensors.to_raw(Tensor.of("x", array))
    back = tensors.from_raw("x", datatype, array.shape, raw)
    assert back.datatype == datatype
    assert back.data.tobytes() == array.tobytes() == raw


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_bytes_read_back_as_written(values: list[bytes]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    raw = tensors.to_raw(Tensor("x", "BYTES", (len(values),), array))
    assert tensors.from_raw("x", "BYTES", [len(values)], raw).data.tolist() == values


# The largest number that bfloat16 holds, and the first float32 that lies nearer to what would come after it.
BFLOAT16_MAX = float.fromhex("0x1.fep127")
FIRST_BEYOND = float.fromhex("0x1.ffp127")


@given(st.floats(-BFLOAT16_MAX, BFLOAT16_MAX, width=32))
def test_bfloat16_is_the_nearest_one(value: float) -> None:
    wide = np.array([value], dtype=np.float32)
    raw = tensors.to_raw(Tensor("x", "BF16", (1,), wide))
    back = tensors.from_raw("x", "BF16", [1], raw).data[0]
    assert len(raw) == 2
    below = (wide.view(np.uint32) & 0xFFFF0000).view(np.float32)[0]
    above = ((wide.view(np.uint32) & 0xFFFF0000) + np.uint32(0x10000)).view(np.float32)[0]
    best = min((below, above), key=lambda one: abs(float(one) - float(wide[0])))
    assert back == best or abs(float(back) - value) == abs(float(best) - value)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_beyond_bfloat16_is_refused_and_the_largest_one_is_not(sign: int) -> None:
    def written(value: float) -> bytes:
        return tensors.to_raw(Tensor("x", "BF16", (1,), np.array([sign * value], dtype=np.float32)))

    largest = tensors.from_raw("x", "BF16", [1], written(BFLOAT16_MAX)).data[0]
    assert largest == sign * BFLOAT16_MAX
    assert written(np.nextafter(np.float32(FIRST_BEYOND), np.float32(0)).item()) == written(BFLOAT16_MAX)
    for value in (FIRST_BEYOND, float(np.finfo(np.float32).max)):
        with pytest.raises(errors.InputError, match="BF16 cannot hold"):
            written(value)


def test_bfloat16_keeps_nan() -> None:
    tensor = Tensor("x", "BF16", (2,), np.array([np.nan, np.inf], dtype=np.float32))
    back = tensors.from_raw("x", "BF16", [2], tensors.to_raw(tensor)).data
    assert np.isnan(back[0])
    assert np.isinf(back[1])


def test_bools_are_bytes_of_zero_and_one() -> None:
    assert tensors.from_raw("x", "BOOL", [2], b"\x00\x01").data.tolist() == [False, True]
    with pytest.raises(errors.InputError, match="0 or 1"):
        tensors.from_raw("x", "BOOL", [1], b"\x02")


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "says"),
    [
        ("FP32", [-1], b"", "below 1"),
        ("FP32", [0], b"", "below 1"),
        ("FP32", [1 << 31, 1 << 31], b"", "more than"),
        ("FP32", [1 << 62, 1 << 62, 1 << 62], b"", "more than"),
        ("FP32", [1] * 17, b"1234", "dimensions"),
        ("FP32", [2], b"1234", "8 bytes, but 4"),
        ("FP32", [1], b"12345", "4 bytes, but 5"),
        ("FP64", [1], b"1234", "8 bytes"),
        ("FP8", [1], b"1", "unknown"),
        ("BYTES", [2], b"\0\0\0\0", "at least 8"),
        ("BYTES", [1], struct.pack("<I", 5) + b"abc", "longer"),
        ("BYTES", [1], struct.pack("<I", 0xFFFFFFFF), "longer"),
        ("BYTES", [1], struct.pack("<I", 1) + b"abc", "left"),
        ("BYTES", [2], struct.pack("<I", 6) + b"abcdef", "cut off"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(datatype: str, shape: list[int], raw: bytes, says: str) -> None:
    with pytest.raises(errors.InputError, match=says) as caught:
        tensors.from_raw("image", datatype, shape, raw)
    assert "'image'" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "spec", "fits"),
    [
        ((3, 28, 28), (28, 28), True),
        ((3, 7, 2), (-1, 2), True),
        ((3,), (), True),
        ((28, 28), (28, 28), False),
        ((1, 28, 27), (28, 28), False),
        ((1, 1, 28, 28), (28, 28), False),
        ((), (), False),
    ],
    ids=["rows", "a free axis", "scalars", "no batch axis", "a wrong size", "an axis too many", "no axis at all"],
)
def test_rows_must_fit_the_spec(shape: tuple[int, ...], spec: tuple[int, ...], fits: bool) -> None:
    tensor = Tensor.of("x", np.zeros(shape, dtype=np.float32))
    if fits:
        tensors.check(tensor, Spec("x", "FP32", spec))
    else:
        with pytest.raises(errors.InputError, match="shape"):
            tensors.check(tensor, Spec("x", "FP32", spec))


def test_another_datatype_is_refused_with_both_named() -> None:
    with pytest.raises(errors.InputError, match="'x' must be FP32, not FP64"):
        tensors.check(Tensor.of("x", np.zeros((1, 2))), Spec("x", "FP32", (2,)))


def test_dtypes_outside_the_protocol_are_refused() -> None:
    with pytest.raises(errors.InputError, match="complex"):
        Tensor.of("x", np.zeros(1, dtype=complex))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
@pytest.mark.parametrize("size", [3, 5000], ids=["few", "many"])
@pytest.mark.parametrize(
    ("last", "finite"),
    [
        pytest.param(1.0, True, id="ordinary"),
        pytest.param(np.nan, False, id="NaN"),
        pytest.param(-np.inf, False, id="an infinity"),
        pytest.param("largest", True, id="finite, but its square is not"),
    ],
)
def test_an_array_is_finite_when_every_number_is(datatype: str, size: int, last: float | str, finite: bool) -> None:
    dtype = tensors.DTYPES[datatype]
    data = np.full((size, 2), -1.0, dtype)
    data[-1, -1] = np.finfo(dtype).max if last == "largest" else last
    assert tensors.is_finite(data) is finite
    assert tensors.is_finite(data[::2, ::-1][:1])


@pytest.mark.parametrize(
    ("values", "datatype", "says"),
    [
        pytest.param(
            [[1.0, 1e300]], "FP32", "row 0, column 1 holds 1e+300, which FP32 cannot hold", id="FP64 into FP32"
        ),
        pytest.param([[1.0], [70000.0]], "FP16", "row 1, column 0 holds 70000.0, which FP16", id="70000 into FP16"),
        pytest.param([[3.4e38]], "BF16", "row 0, column 0 holds 3.4e+38, which BF16", id="rounded up into BF16"),
        pytest.param([[[1.0, 2.5]]], "INT32", r"row 0, column \[0, 1\] holds 2.5, which INT32", id="a fraction"),
        pytest.param([[-1]], "UINT64", "row 0, column 0 holds -1, which UINT64", id="a sign that is lost"),
        pytest.param([300], "UINT8", "row 0 holds 300, which UINT8", id="a number that wraps"),
        pytest.param([[2**24 + 1]], "FP32", "which FP32 cannot hold exactly", id="a whole number that rounds"),
    ],
)
def test_a_number_that_a_datatype_cannot_hold_is_refused_with_its_place(
    values: Sequence[Any], datatype: str, says: str
) -> None:
    with pytest.raises(errors.InputError, match=f"^rows of x: .*{says.replace('+', '[+]')}"):
        tensors.cast(np.asarray(values), datatype, "rows of x")


def test_what_fits_is_cast_and_real_numbers_round() -> None:
    assert tensors.cast(np.array([[0.1]]), "FP32", "x").item() == np.float32(0.1)
    assert tensors.cast(np.array([[np.inf, np.nan]]), "FP16", "x").dtype == np.float16, "not made here: found elsewhere"
    assert tensors.cast(np.array([65504.0]), "FP16", "x").item() == 65504.0


def test_bfloat16_makes_no_infinity_of_a_number() -> None:
    with pytest.raises(errors.InputError, match=r"row 1 holds .*, which BF16 cannot hold"):
        tensors.to_raw(tensors.Tensor("x", "BF16", (2,), np.array([1.0, np.finfo(np.float32).max], np.float32)))
    infinite = tensors.Tensor("x", "BF16", (1,), np.array([-np.inf], np.float32))
    assert tensors.from_raw("x", "BF16", (1,), tensors.to_raw(infinite)).data.item() == -np.inf


def test_the_first_number_that_is_not_finite_is_named() -> None:
    tensors.check_finite(np.array([[1, 2]]), "x")
    with pytest.raises(errors.InputError, match="x: row 1, column 0 holds nan, which is not finite"):
        tensors.check_finite(np.array([[1.0, 2.0], [np.nan, np.inf]]), "x")
