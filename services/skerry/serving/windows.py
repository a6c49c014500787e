"""The last steps of each sequence as its callers sent them, beside its hidden state: what streaming networks learn by.

A window begins with its sequence and is forgotten with it (`serving.sequence_states`). There is room for so many bytes
of whole windows: a sequence that begins when none is left is served without one, until it ends or begins again, so that
those which have one fill theirs. Which windows are kept for learning is `core.sampling`'s decision.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import contract, datasets, tensors
from skerry.core.manifest import Manifest
from skerry.core.sampling import Stretch
from skerry.core.tensors import Tensor

_MOST_BYTES = contract.MAX_EXAMPLE_BYTES - contract.MAX_UPLOAD_FRAMING_BYTES  # a larger one would be captured in vain


class Window:
    """The last steps of one sequence. `stretch` is for whoever chooses windows to learn from; it goes with them."""

    __slots__ = ("_name", "_steps", "size", "stretch")

    def __init__(self, name: str, size: int) -> None:
        self._name, self.size = name, size
        self._steps: NDArray[Any] | None = None
        self.stretch: Stretch | None = None

    def __len__(self) -> int:
        """Steps that are there."""
        return 0 if self._steps is None else len(self._steps)

    @property
    def is_full(self) -> bool:
        return len(self) == self.size

    def append(self, piece: NDArray[Any]) -> None:
        """Take in the next steps [t, …]. A copy: a piece is a view of its request."""
        new = piece[-self.size :]
        if self._steps is None:
            self._steps = new.copy()
        else:
            kept = self._steps[max(0, len(self._steps) + len(new) - self.size) :]
            self._steps = np.concatenate((kept, new))

    def tensor(self) -> Tensor:
        """A row [1, steps, …]: these steps, whatever comes later."""
        assert self._steps is not None, "a window begins with a step"
        row = self._steps[np.newaxis]
        return Tensor(self._name, tensors.datatype_of(row.dtype, self._name), row.shape, row)


class WindowRoom:
    """Room for the windows of one version, at most `max_bytes` together, each counted whole from its first step."""

    def __init__(self, manifest: Manifest, max_bytes: int) -> None:
        spec = manifest.inputs[0]
        self._name, self._size = spec.name, manifest.window
        self._window_bytes = window_bytes(manifest)
        self._places = 0 if fault(manifest, max_bytes) else max_bytes // self._window_bytes
        self._taken = 0

    @property
    def used_bytes(self) -> int:
        return self._taken * self._window_bytes

    def begin(self) -> Window | None:
        """A window for a sequence that begins; None: there is no room for it."""
        if self._taken >= self._places:
            return None
        self._taken += 1
        return Window(self._name, self._size)

    def end(self, window: Window | None) -> None:
        """The sequence is over."""
        self._taken -= window is not None


def fault(manifest: Manifest, max_bytes: int) -> str:
    """Why a version that names a window gets none, for people; empty: it gets one."""
    size = window_bytes(manifest)
    if not size:
        return "a window must be of numbers, its steps of one known shape, and the network's only input"
    if size > min(max_bytes, _MOST_BYTES):
        return f"a window has {size} bytes; at most {min(max_bytes, _MOST_BYTES)} are kept and uploaded"
    return ""


def window_bytes(manifest: Manifest) -> int:
    """Of one window of this version; 0: it has none. It is not known how long one is, or what a dataset cannot hold."""
    rest = manifest.inputs[0].shape[1:]
    kind = datasets.DTYPES.get(manifest.inputs[0].datatype)
    if not manifest.window or len(manifest.inputs) != 1 or kind is None or tensors.FREE in rest:
        return 0
    return manifest.window * math.prod(rest) * kind.itemsize
