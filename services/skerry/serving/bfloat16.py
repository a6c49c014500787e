"""Networks with bfloat16 inputs or outputs. numpy has no such type, so ONNX Runtime takes and gives them as values of
its own, which cost more per call than arrays: only networks that need them are run this way.

Here as everywhere a bfloat16 number is a float32 that holds it exactly.
"""

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, tensors

NAME = "BF16"
_ELEMENT_TYPE = 16  # onnx.TensorProto.BFLOAT16


class Bfloat16Run:
    """Runs `session` (`ort_value` is the class of its values); `inputs` and `outputs` tell which of them are bfloat16.
    Raises IntegrityError for a network that takes or gives texts too: the runtime makes no value of its own from them.
    """

    def __init__(
        self,
        session: Any,
        ort_value: Any,
        what: str,
        inputs: Sequence[tensors.Spec],
        outputs: Sequence[tensors.Spec],
    ) -> None:
        self._session, self._ort_value = session, ort_value
        self._narrow = frozenset(spec.name for spec in inputs if spec.datatype == NAME)
        self._wide = frozenset(spec.name for spec in outputs if spec.datatype == NAME)
        self._what = what
        if any(spec.datatype == "BYTES" for spec in (*inputs, *outputs)):
            raise errors.IntegrityError(f"{what} has texts beside BF16, which ONNX Runtime cannot run from Python")

    def __call__(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], options: Any) -> list[NDArray[Any]]:
        """As `run` of ONNX Runtime's session."""
        values = {name: self._value(name, rows) for name, rows in feeds.items()}
        outputs = self._session.run_with_ort_values(list(names), values, options)
        return [self._rows(name, value) for name, value in zip(names, outputs, strict=True)]

    def _value(self, name: str, rows: NDArray[Any]) -> Any:
        if name not in self._narrow:
            return self._ort_value.ortvalue_from_numpy(np.ascontiguousarray(rows))
        bits = tensors.to_bfloat16(rows)
        return self._ort_value.ortvalue_from_numpy_with_onnx_type(bits, _ELEMENT_TYPE)

    def _rows(self, name: str, value: Any) -> NDArray[Any]:
        if name not in self._wide:
            rows: NDArray[Any] = value.numpy()
            return rows
        if value.device_name() != "cpu":
            raise errors.IntegrityError(f"{self._what}: output {name!r} is BF16 in the memory of another device")
        shape = value.shape()
        data = ctypes.string_at(value.data_ptr(), 2 * math.prod(shape))
        return tensors.from_bfloat16(np.frombuffer(data, "<u2")).reshape(shape)
