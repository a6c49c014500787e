"""What is taken out of a row before it is kept or leaves the node: steps that mask, zero, round and crop, as data.

Every step keeps the row's shape and datatype, so that the teacher and a dataset take a redacted row like any other, and
treats each row alike. What a step blanks becomes 0. A step that does not fit a row is a fault of that row's redaction:
the caller then keeps the row where it is. Which steps are in force is `core.privacy`'s to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.core import tensors

PARAMETER = "skerry_redacted"  # of a reply: what was taken out of the row before it was kept or asked about
ANSWER = "skerry_redacted_answer"  # of a reply: the answer is one to what was left of the row
MAX_STEPS = 16
MAX_AXES = 8
MAX_FEATURES = 1024
MIN_ROUND, MAX_ROUND = 1e-9, 1e12

Bounds = tuple[tuple[int, int], ...]
Shape = Sequence[int]


class Step(Protocol):
    def fault(self, shape: Shape, datatype: str) -> str:
        """Why rows of this shape (no batch axis) cannot be redacted so, for people; empty: they can."""
        ...

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        """A redacted copy of a batch x[N, ...] that has no fault."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Mask:
    """Blanks a box: `box` is [start, stop) for each of the row's first axes, whole on the others."""

    box: Bounds

    def fault(self, shape: Shape, datatype: str) -> str:
        return _box_fault(self.box, shape, datatype)

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        out = x.copy()
        out[_slices(self.box)] = 0
        return out

    def __str__(self) -> str:
        return f"mask{_text(self.box)}"


@dataclass(frozen=True, slots=True)
class Crop:
    """Blanks all but a box, which is given as for `Mask`. The row keeps its shape."""

    box: Bounds

    def fault(self, shape: Shape, datatype: str) -> str:
        return _box_fault(self.box, shape, datatype)

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        out, inside = np.zeros_like(x), _slices(self.box)
        out[inside] = x[inside]
        return out

    def __str__(self) -> str:
        return f"crop{_text(self.box)}"


@dataclass(frozen=True, slots=True)
class Zero:
    """Blanks `features`: entries of the last axis."""

    features: tuple[int, ...]

    def fault(self, shape: Shape, datatype: str) -> str:
        if fault := _numbers_fault(datatype):
            return fault
        width = shape[-1] if len(shape) else 0
        return f"rows have {width} features, none with the index {max(self.features)}" * (max(self.features) >= width)

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        out = x.copy()
        out[..., list(self.features)] = 0
        return out

    def __str__(self) -> str:
        shown = ",".join(map(str, self.features[:16]))
        return f"zero[{shown}{',…' if len(self.features) > 16 else ''}]"


@dataclass(frozen=True, slots=True)
class Round:
    """Every number becomes a multiple of `to`: whole numbers the next below, others the nearest. What cannot be told
    as one (an infinity, or no number) becomes 0."""

    to: float

    def fault(self, shape: Shape, datatype: str) -> str:
        if fault := _numbers_fault(datatype):
            return fault
        if datatype == "BOOL":
            return "true and false cannot be rounded"
        dtype = tensors.DTYPES[datatype]
        if dtype.kind in "iu" and not (float(self.to).is_integer() and 1 <= self.to <= np.iinfo(dtype).max):
            return f"{datatype} can be rounded to whole numbers in 1..{np.iinfo(dtype).max} only, not to {self.to:g}"
        return ""

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        if x.dtype.kind in "iu":
            to, least = x.dtype.type(int(self.to)), np.iinfo(x.dtype).min
            over = np.mod(x, to)
            lower: NDArray[Any] = np.where(x >= least + over, x - over, x.dtype.type(least))
            return lower
        with np.errstate(over="ignore", invalid="ignore"):
            out = (np.round(x.astype(np.float64) / self.to) * self.to).astype(x.dtype)
        return np.asarray(np.where(np.isfinite(out), out, x.dtype.type(0)))

    def __str__(self) -> str:
        return f"round[{self.to:g}]"


Steps = tuple[Step, ...]


def fault(steps: Steps, inputs: Iterable[tensors.Tensor]) -> str:
    """Why the inputs of a request cannot be redacted, for people; empty: they can."""
    for tensor in inputs:
        for step in steps:
            if why := step.fault(tensor.shape[1:], tensor.datatype):
                return f"{step} does not fit input {tensor.name!r:.80}: {why}"
    return ""


def apply(steps: Steps, tensor: tensors.Tensor) -> tensors.Tensor:
    """The redacted tensor [N, ...], which has no fault; without steps the tensor itself."""
    if not steps:
        return tensor
    data = tensor.data
    for step in steps:
        data = step.apply(data)
    return tensors.Tensor(tensor.name, tensor.datatype, tensor.shape, data)


def told(steps: Steps) -> str:
    """The steps in a line, for a reply and for people."""
    return "; ".join(map(str, steps))


def _box_fault(box: Bounds, shape: Shape, datatype: str) -> str:
    if fault := _numbers_fault(datatype):
        return fault
    if len(box) > len(shape) or any(stop > size for (_, stop), size in zip(box, shape, strict=False)):
        return f"rows have the shape {list(shape)[:MAX_AXES]}"
    return ""


def _numbers_fault(datatype: str) -> str:
    return "texts cannot be redacted" if datatype == "BYTES" else ""


def _slices(box: Bounds) -> tuple[slice, ...]:
    return (slice(None), *(slice(start, stop) for start, stop in box))


def _text(box: Bounds) -> str:
    return "[" + ",".join(f"{start}:{stop}" for start, stop in box) + "]"
