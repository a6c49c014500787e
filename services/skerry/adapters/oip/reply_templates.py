"""Replies repeat themselves as requests do (`request_templates`): of one version, all but id and numbers is the same.

A protobuf message may be written in pieces, one after the other. What replies of one form have in common is serialized
once, each parameter with its value too; a reply joins the pieces. `codec` decides what a reply holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.adapters.oip import codec, wire
from skerry.core import feedback, tensors
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

_MAX_FORMS, _MAX_PARAMETERS = 256, 1024
_DIGEST = "skerry_digest"


@dataclass(frozen=True, slots=True)
class _Form:
    """Pieces in the order of a reply: who answers, (id, parameters,) the digest as a parameter, name and shape of the
    output and what stands before its numbers."""

    head: bytes
    digest: bytes
    output: bytes


class Encoder:
    """Makes ModelInferResponse messages, and remembers a bounded number of pieces."""

    def __init__(self) -> None:
        self._forms: dict[object, _Form] = {}
        self._texts: dict[tuple[str, Parameter], bytes] = {}
        self._numbers: dict[tuple[str, type, Parameter], bytes] = {}

    def encode(self, reply: InferReply, request: InferRequest) -> bytes:
        """What `codec.encode_reply` makes, serialized. Raises InputError as it does."""
        form = self._forms.get(reply.form)
        if form is None or request.outputs or not request.raw:
            return self._encode_whole(reply, request)
        text, raw = request.id.encode(), tensors.to_raw(reply.outputs[0])
        id_head = wire.head(wire.REPLY_ID, len(text)) if text else b""
        parameters = self._parameters(reply.parameters, form) if reply.parameters else form.digest
        return b"".join((form.head, id_head, text, parameters, form.output, raw))

    def _parameters(self, parameters: Mapping[str, Parameter], form: _Form) -> bytes:
        parts = []
        for parameter in parameters.items():
            known = self._texts.get(parameter)
            parts.append(self._parameter(*parameter) if known is None else known)
        if _DIGEST not in parameters:
            parts.append(form.digest)
        return b"".join(parts)

    def _encode_whole(self, reply: InferReply, request: InferRequest) -> bytes:
        data = codec.encode_reply(reply, request).SerializeToString()
        is_new = reply.form is not None and reply.form not in self._forms
        if is_new and len(reply.outputs) == 1 and reply.outputs[0].datatype != "BYTES":
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            self._forms[reply.form] = _form(reply)
        return data

    def _parameter(self, name: str, value: Parameter) -> bytes:
        """One that is not among the texts. True is 1 as a key, so those of numbers tell their type."""
        if isinstance(value, float):  # 0.0 is -0.0, and NaN not itself
            return _serialized({name: value})
        if isinstance(value, str):
            if name == feedback.PARAMETER:  # another one in each reply: it would put the others out
                return wire.text_parameter(name, value)
            return _remembered(self._texts, (name, value), name, value)
        key = (name, type(value), value)
        return self._numbers.get(key) or _remembered(self._numbers, key, name, value)


def _remembered(known: dict[Any, bytes], key: tuple[object, ...], name: str, value: Parameter) -> bytes:
    if len(known) >= _MAX_PARAMETERS:
        known.clear()
    data = known[key] = _serialized({name: value})
    return data


def _form(reply: InferReply) -> _Form:
    request = InferRequest(reply.model, ())
    head = codec.encode_reply(InferReply(reply.model, reply.version, ()), request)
    output = codec.encode_reply(InferReply("", "", reply.outputs), request)
    output.ClearField("raw_output_contents")
    digest = _serialized({_DIGEST: reply.digest}) if reply.digest else b""
    return _Form(head.SerializeToString(), digest, output.SerializeToString() + _raw_head(reply.outputs[0]))


def _serialized(parameters: Mapping[str, Parameter]) -> bytes:
    response = pb.ModelInferResponse()
    codec.encode_parameters(parameters, response.parameters)
    return response.SerializeToString()


def _raw_head(tensor: Tensor) -> bytes:
    return wire.head(wire.REPLY_RAW, tensor.data.size * tensors.WIRE_BYTES[tensor.datatype])
