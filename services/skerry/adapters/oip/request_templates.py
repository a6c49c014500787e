"""Clients repeat themselves: a request differs from an earlier one in its numbers, and perhaps in its id.

A protobuf message that begins with the same bytes, with a hole for an id of the same length, and is as long, has the
same fields: only the raw contents at its end are new. What was decoded and checked once is then not decoded again, and
that is most of the codec's time. Everything else goes through `codec`, which decides what is valid.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.oip import codec, request_bounds, wire
from skerry.core import tensors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

MAX_HEAD_BYTES = 1024
_MAX_LENGTHS, _MAX_PER_LENGTH = 64, 4
_MAX_ID_BYTES = 127  # whose length is one byte
# Any bits are a number of these; the others need a look at every element.
_PLAIN = frozenset(tensors.DTYPES) - {"BOOL", "BYTES", "BF16"}


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    """`head`, then an id up to `id_end`, then `rest` up to `raw_start`, then the raw contents of the one input of
    `request`, whose numbers are not kept."""

    head: bytes
    id_start: int
    id_end: int
    rest: bytes
    raw_start: int
    request: InferRequest
    dtype: np.dtype[Any]


class Decoder:
    """Decodes ModelInferRequest messages, and remembers a bounded number of their forms."""

    def __init__(self) -> None:
        self._known: dict[int, list[_Template]] = {}

    def decode(self, data: bytes | memoryview) -> InferRequest:
        """As `codec.decode_request` on the parsed message. Raises protobuf's DecodeError, and InputError."""
        request = self.recall(data)
        if request is not None:
            return request
        data = bytes(data)
        request_bounds.check(data)
        message = pb.ModelInferRequest.FromString(data)
        request = codec.decode_request(message)
        if len(message.raw_input_contents) == len(request.inputs) == 1 and request.inputs[0].datatype in _PLAIN:
            self._learn(data, message, request)
        return request

    def recall(self, data: bytes | memoryview) -> InferRequest | None:
        """The request, when its form is known, in a few microseconds however large it is. The numbers of a view
        stay where they are."""
        templates = self._known.get(len(data))
        if not templates:
            return None
        beginning = data if isinstance(data, bytes) else bytes(data[:MAX_HEAD_BYTES])
        for template in templates:
            if beginning.startswith(template.head) and beginning.startswith(template.rest, template.id_end):
                request = _filled(template, beginning, data)
                if request is not None:
                    return request
        return None

    def _learn(self, data: bytes, message: pb.ModelInferRequest, request: InferRequest) -> None:
        """Remember the form, when the message is written as everybody writes it: by field number, raw contents last."""
        raw, id_bytes = message.raw_input_contents[0], len(message.id.encode())
        start = len(data) - len(raw)
        head = pb.ModelInferRequest(model_name=message.model_name, model_version=message.model_version)
        head_data = head.SerializeToString() + (
            wire.head(wire.REQUEST_ID, id_bytes) if 0 < id_bytes <= _MAX_ID_BYTES else b""
        )
        rest = data[len(head_data) + id_bytes : start]
        is_usual = (
            start <= MAX_HEAD_BYTES
            and data.startswith(head_data)
            and id_bytes <= _MAX_ID_BYTES
            and rest.endswith(wire.head(wire.REQUEST_RAW, len(raw)))
            and data.endswith(raw)
        )
        if not is_usual:
            return
        if len(self._known) >= _MAX_LENGTHS and len(data) not in self._known:
            self._known.clear()
        templates = self._known.setdefault(len(data), [])
        del templates[: max(0, len(templates) - _MAX_PER_LENGTH + 1)]
        sent = request.inputs[0]
        emptied = replace(request, inputs=(replace(sent, data=np.empty(0, sent.data.dtype)),))
        id_start = len(head_data)
        templates.append(_Template(head_data, id_start, id_start + id_bytes, rest, start, emptied, sent.data.dtype))


def _filled(template: _Template, beginning: bytes, data: bytes | memoryview) -> InferRequest | None:
    """The request with the id and the numbers of `data`; None when the id is no text."""
    form = template.request
    sent = form.inputs[0]
    raw = data[template.raw_start :]  # of bytes a copy, so that the numbers are aligned in memory
    numbers: NDArray[Any] = np.ndarray(sent.shape, template.dtype, raw)
    if not numbers.flags.aligned:
        numbers = numbers.copy()
        numbers.flags.writeable = False
    tensor = Tensor(sent.name, sent.datatype, sent.shape, numbers)
    try:
        request_id = beginning[template.id_start : template.id_end].decode()
    except UnicodeDecodeError:
        return None
    return InferRequest(form.model, (tensor,), form.version, request_id, form.outputs, form.parameters, True, template)
