"""Replies repeat themselves as requests do (`repeats`): of one version, all but the id and the numbers is the same.

A protobuf message may be written in pieces, one after the other. What replies of one form have in common is serialized
once, each parameter with its value too; a reply joins the pieces. `codec` decides what a reply holds.
"""

from dataclasses import dataclass

from skerry.adapters.oip import codec, wire
from skerry.core import tensors
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

_MAX_FORMS, _MAX_PARAMETERS = 256, 1024
_DIGEST = "skerry_digest"

_Shapes = tuple[tuple[str, str, tuple[int, ...]], ...]
_Key = tuple[str, str, str, _Shapes]


@dataclass(frozen=True, slots=True)
class _Form:
    """`common` to every reply: names, shapes and the digest; `raw_heads` stand before each output's numbers."""

    common: bytes
    raw_heads: tuple[bytes, ...]


class Encoder:
    """Makes ModelInferResponse messages, and remembers a bounded number of pieces."""

    def __init__(self) -> None:
        self._forms: dict[_Key, _Form] = {}
        self._parameters: dict[tuple[str, type, Parameter], bytes] = {}

    def encode(self, reply: InferReply, request: InferRequest) -> bytes:
        """What `codec.encode_reply` makes, serialized. Raises InputError as it does."""
        digest = "" if _DIGEST in reply.parameters else reply.digest
        shapes = tuple([(one.name, one.datatype, one.shape) for one in reply.outputs])
        form = self._forms.get((reply.model, reply.version, digest, shapes))
        if form is None or not request.raw or request.outputs:
            return self._encode_anew(reply, request, digest, shapes)
        parts = [form.common]
        if request.id:
            text = request.id.encode()
            parts += (wire.head(wire.REPLY_ID, len(text)), text)
        for name, value in reply.parameters.items():
            known = self._parameters.get((name, type(value), value))
            parts.append(self._parameter(name, value) if known is None else known)
        for head, tensor in zip(form.raw_heads, reply.outputs, strict=True):
            parts += (head, tensors.to_raw(tensor))
        return b"".join(parts)

    def _encode_anew(self, reply: InferReply, request: InferRequest, digest: str, shapes: _Shapes) -> bytes:
        data = codec.encode_reply(reply, request).SerializeToString()
        if request.raw and not request.outputs and all(one.datatype != "BYTES" for one in reply.outputs):
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            self._forms[reply.model, reply.version, digest, shapes] = _form(reply, digest)
        return data

    def _parameter(self, name: str, value: Parameter) -> bytes:
        made = pb.ModelInferResponse()
        codec.encode_parameters({name: value}, made.parameters)
        data = made.SerializeToString()
        if not isinstance(value, float):  # 0.0 equals -0.0, and NaN not itself
            if len(self._parameters) >= _MAX_PARAMETERS:
                self._parameters.clear()
            self._parameters[name, type(value), value] = data
        return data


def _form(reply: InferReply, digest: str) -> _Form:
    empty = InferReply(reply.model, reply.version, reply.outputs, digest=digest)
    made = codec.encode_reply(empty, InferRequest(reply.model, ()))
    made.ClearField("raw_output_contents")
    return _Form(made.SerializeToString(), tuple(_raw_head(one) for one in reply.outputs))


def _raw_head(tensor: Tensor) -> bytes:
    return wire.head(wire.REPLY_RAW, tensor.data.size * tensors.WIRE_BYTES[tensor.datatype])
