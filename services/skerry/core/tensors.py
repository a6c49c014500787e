"""Named arrays in the datatypes of the Open Inference Protocol, their bytes on the wire, the check against a spec.

Raw bytes are row-major and little-endian; a BYTES element is a 4-byte length and that many bytes. Every size is checked
before anything is allocated. Left out: protobuf (`adapters.oip.codec`) and what a network does with the numbers.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

# numpy has no bfloat16: in memory it is widened to float32, which is exact.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    "BF16": np.dtype("<f4"),
    "BYTES": np.dtype(object),
}
WIRE_BYTES: Mapping[str, int] = {name: dtype.itemsize for name, dtype in DTYPES.items() if name != "BYTES"} | {
    "BF16": 2
}
FLOATING = frozenset({"FP16", "FP32", "FP64", "BF16"})

MAX_RANK = 16
MAX_ELEMENTS = 1 << 28
MAX_TEXTS = 1 << 20  # elements of BYTES: each is an object
_TEXT_BYTES = 33  # of an empty one in memory
FREE = -1  # in a spec: any size
_FEW = 4096  # numbers; of more, BLAS may begin to start threads for a product
_EXACT_TO = 2**53  # beyond this a float64 does not hold every whole number


@dataclass(frozen=True, slots=True)
class Spec:
    """What a tensor must be: `shape` of one row, without the batch axis; -1 is an axis of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class Tensor:
    """`data` has exactly `shape` (batch axis first) and the dtype of DTYPES[datatype]; BYTES holds `bytes` objects."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: NDArray[Any]

    @classmethod
    def of(cls, name: str, data: NDArray[Any]) -> "Tensor":
        """`data` under the datatype of its dtype. Raises InputError for a dtype that the protocol does not have."""
        return cls(name, datatype_of(data.dtype, name), data.shape, data)


def datatype_of(dtype: np.dtype[Any], name: str) -> str:
    """The protocol's name of a numpy dtype. Raises InputError naming the tensor."""
    if dtype.kind in "OSU":
        return "BYTES"
    datatype = _NAMES.get(dtype.str.replace(">", "<"))
    if datatype is None:
        raise errors.InputError(f"tensor {name!r} has dtype {dtype}, which the protocol does not know")
    return datatype


_NAMES = {dtype.str: name for name, dtype in DTYPES.items() if name not in ("BF16", "BYTES")}


def elements(name: str, shape: Sequence[int]) -> int:
    """How many elements `shape` has. Raises InputError for a rank or size that is not sane, before any overflow."""
    if len(shape) > MAX_RANK:
        raise errors.InputError(f"input {name!r}: {len(shape)} dimensions; at most {MAX_RANK} are allowed")
    if min(shape, default=1) < 1:
        raise errors.InputError(f"input {name!r}: shape {list(shape)} has a dimension below 1")
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise errors.InputError(f"input {name!r}: shape {list(shape)} has more than {MAX_ELEMENTS} elements")
    return count


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Tensor:
    """The tensor in `raw`; a fixed-size datatype is a read-only view of it. Raises InputError naming the input."""
    sizes = tuple(shape)
    count = elements(name, sizes)
    dtype = dtype_of(name, datatype)
    if datatype == "BYTES":
        return Tensor(name, datatype, sizes, _unpack(name, raw, count).reshape(sizes))
    wanted = count * WIRE_BYTES[datatype]
    if len(raw) != wanted:
        raise errors.InputError(
            f"input {name!r}: {datatype} of shape {list(sizes)} is {wanted} bytes, but {len(raw)} were sent"
        )
    if datatype == "BF16":
        return Tensor(name, datatype, sizes, from_bfloat16(np.frombuffer(raw, "<u2")).reshape(sizes))
    data = np.frombuffer(raw, dtype).reshape(sizes)
    if datatype == "BOOL" and (data.view(np.uint8) > 1).any():
        raise errors.InputError(f"input {name!r}: BOOL is one byte of 0 or 1 per element")
    return Tensor(name, datatype, sizes, data)


def to_raw(tensor: Tensor) -> bytes:
    """The bytes of `tensor` as the protocol wants them."""
    if tensor.datatype == "BYTES":
        parts = [_as_bytes(tensor.name, element) for element in tensor.data.ravel()]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)
    if tensor.datatype == "BF16":
        return to_bfloat16(tensor.data).tobytes()
    data, dtype = tensor.data, DTYPES[tensor.datatype]
    return data.tobytes() if data.dtype is dtype else data.astype(dtype, copy=False).tobytes()


def raw_view(tensor: Tensor) -> bytes | memoryview:
    """As `to_raw`, without a copy where these bytes lie there as they are; the view holds the tensor's memory."""
    data = tensor.data
    if tensor.datatype in ("BYTES", "BF16") or data.dtype is not DTYPES[tensor.datatype] or not data.flags.c_contiguous:
        return to_raw(tensor)
    return data.data.cast("B").toreadonly() if data.size and data.ndim else to_raw(tensor)


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """The in-memory dtype of a datatype. Raises InputError naming the input."""
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise errors.InputError(f"input {name!r}: datatype {datatype[:40]!r} is unknown; known are {', '.join(DTYPES)}")
    return dtype


def check(tensor: Tensor, spec: Spec) -> None:
    """Raises InputError unless `tensor` is a batch of rows of `spec`; the text says what would be right."""
    if tensor.datatype != spec.datatype:
        raise errors.InputError(f"input {spec.name!r} must be {spec.datatype}, not {tensor.datatype}")
    if (tensor.shape[1:] != spec.shape and not _fits(tensor.shape[1:], spec.shape)) or not tensor.shape:
        raise errors.InputError(
            f"input {spec.name!r} must have shape {[FREE, *spec.shape]} (batch axis first), not {list(tensor.shape)}"
        )


def free_sizes(specs: Sequence[Spec], shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """What arrays of these shapes (batch axis first) have where their specs leave an axis free: rows of one of it may
    share a run."""
    pairs = zip(specs, shapes, strict=True)
    return tuple(size for spec, shape in pairs if FREE in spec.shape for size in shape[1:])


def size_bytes(data: NDArray[Any]) -> int:
    """What the array holds in memory, its texts included."""
    if data.dtype.kind != "O":
        return data.nbytes
    return data.nbytes + sum([_TEXT_BYTES + len(element) for element in data.ravel().tolist()])


def from_bfloat16(bits: NDArray[Any]) -> NDArray[Any]:
    """The numbers of bfloat16 patterns (uint16) as float32, which holds each of them exactly."""
    return (bits.astype("<u4") << 16).view("<f4")


def to_bfloat16(data: NDArray[Any]) -> NDArray[Any]:
    """The bfloat16 patterns (uint16) nearest to float32 numbers, ties to even; NaN stays NaN. Raises InputError for a
    number that bfloat16 cannot hold: it would become an infinity."""
    wide = np.ascontiguousarray(data, dtype="<f4")
    patterns = _bfloat16(wide)
    if (infinite := ((patterns & 0x7FFF) == 0x7F80) & np.isfinite(wide)).any():
        raise errors.InputError(f"{_first(infinite, wide)}, which BF16 cannot hold")
    return patterns


def cast(values: NDArray[Any], datatype: str, what: str, *, owner: str = "") -> NDArray[Any]:
    """`values` [n, …], numbers from outside, in `datatype`. Real numbers may round. Raises InputError for a number that
    would become infinite, be cut or wrap; it names `what`, row, column, number, and whose (`owner`) datatype it is."""
    dtype = DTYPES[datatype]
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(dtype)
        if dtype.kind == "f" and values.dtype.kind == "f":
            reached = from_bfloat16(_bfloat16(converted)) if datatype == "BF16" else converted
            wrong = np.isfinite(values) & ~np.isfinite(reached)
        else:
            wrong = converted.astype(values.dtype) != values
            if values.dtype.kind == "f":
                wrong |= np.abs(values) > _EXACT_TO
            elif dtype.kind in "iu" and values.dtype.kind in "iu":
                wrong |= (converted < 0) != (values < 0)
    if wrong.any():
        exactly = dtype.kind == "f" and values.dtype.kind in "iu"
        hint = " exactly: write it as a real number if rounding is right, or leave it out" if exactly else ""
        whose = f", the datatype of {owner}," if owner else ""
        raise errors.InputError(f"{what}: {_first(wrong, values)}, which {datatype}{whose} cannot hold{hint}")
    return converted


def check_finite(data: NDArray[Any], what: str) -> None:
    """Raises InputError naming `what`, the row, the column and the number unless every number of `data` [n, …] is
    finite."""
    if not is_finite(data):
        raise errors.InputError(f"{what}: {_first(~np.isfinite(data), data)}, which is not finite")


def is_finite(data: NDArray[Any]) -> bool:
    """False when a floating array holds NaN or an infinity; other arrays are always finite."""
    if data.dtype.kind != "f":
        return True
    # A sum of squares is finite only if every number is, and takes half the time. One that overflows proves nothing.
    if data.size <= _FEW:
        return math.isfinite(np.vdot(data, data)) or bool(np.isfinite(data).all())
    # Both ends are finite only if all between are, and a NaN is both: no memory of the array's size is needed.
    return math.isfinite(data.min()) and math.isfinite(data.max())


def _first(wrong: NDArray[np.bool_], values: NDArray[Any]) -> str:
    """Where the first wrong number is, and which it is."""
    at = tuple(int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))
    column = f", column {at[1] if len(at) == 2 else list(at[1:])}" if len(at) > 1 else ""
    return f"row {at[0]}{column} holds {values[at]!s}"


def _bfloat16(wide: NDArray[Any]) -> NDArray[Any]:
    bits = np.ascontiguousarray(wide).view("<u4")
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    quiet = ((bits >> 16) | 0x40).astype("<u2")
    return np.where(np.isnan(wide), quiet, rounded).astype("<u2")


def _fits(row: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(row) == len(wanted) and all(size == want or want == FREE for size, want in zip(row, wanted, strict=True))


def _unpack(name: str, raw: bytes, count: int) -> NDArray[Any]:
    if count > MAX_TEXTS:
        raise errors.TooLargeError(
            f"input {name!r}: {count} BYTES elements; at most {MAX_TEXTS} are read in one request"
        )
    if len(raw) < 4 * count:
        raise errors.InputError(
            f"input {name!r}: {count} BYTES elements need at least {4 * count} bytes, not {len(raw)}"
        )
    out = np.empty(count, dtype=object)
    at = 0
    for index in range(count):
        start = at + 4
        if start > len(raw):
            raise errors.InputError(f"input {name!r}: element {index} of {count} is cut off")
        at = start + int.from_bytes(raw[at:start], "little")
        if at > len(raw):
            raise errors.InputError(f"input {name!r}: element {index} says it is longer than what was sent")
        out[index] = raw[start:at]
    if at != len(raw):
        raise errors.InputError(f"input {name!r}: {len(raw) - at} bytes are left after {count} BYTES elements")
    return out


def _as_bytes(name: str, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise errors.InputError(f"tensor {name!r} is BYTES but holds {type(value).__name__}")
