"""Bytes on the wire become arrays and back, exactly; sizes are checked before anything is allocated."""

import struct

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


@given(st.floats(width=32, allow_nan=False))
def test_bfloat16_is_the_nearest_one(value: float) -> None:
    wide = np.array([value], dtype=np.float32)
    raw = tensors.to_raw(Tensor("x", "BF16", (1,), wide))
    back = tensors.from_raw("x", "BF16", [1], raw).data[0]
    assert len(raw) == 2
    below = (wide.view(np.uint32) & 0xFFFF0000).view(np.float32)[0]
    above = ((wide.view(np.uint32) & 0xFFFF0000) + np.uint32(0x10000)).view(np.float32)[0]
    best = min((below, above), key=lambda one: abs(float(one) - float(wide[0])))
    assert back == best or abs(float(back) - value) == abs(float(best) - value) or np.isinf(above)


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
