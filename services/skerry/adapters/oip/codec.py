"""Open Inference Protocol v2 messages to `core.inference` and back.

Rules of the protocol that are checked here: raw and typed contents are not mixed, raw contents are one entry per input,
FP16 and BF16 are raw only, every size is exact, names are distinct. Raw in gives raw out. What a model wants of its
inputs is checked by the data plane.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from skerry.core import errors, tensors
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

MAX_PARAMETERS = 64
MAX_TYPED = 1 << 22  # elements of typed contents: each becomes an object on its way
RAW_ONLY = frozenset({"FP16", "BF16"})

# Which field of InferTensorContents holds a datatype.
_FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
# Triton's extensions of a requested output: the best classes as texts, and an answer left in shared memory.
CLASSIFICATION = "classification"
UNSUPPORTED_OF_OUTPUTS = (CLASSIFICATION, "shared_memory_region")
_NO_PARAMETERS: Mapping[str, Parameter] = {}


def decode_request(message: pb.ModelInferRequest) -> InferRequest:
    """Raises InputError that names the input."""
    inputs, raw = message.inputs, message.raw_input_contents
    if len(inputs) == 1 and len(raw) == 1 and not inputs[0].HasField("contents"):
        sent = inputs[0]
        decoded: tuple[Tensor, ...] = (tensors.from_raw(sent.name, sent.datatype, sent.shape, raw[0]),)
    else:
        decoded = _decode_tensors(inputs, raw, "input")
    parameters = message.parameters
    return InferRequest(
        message.model_name,
        decoded,
        message.model_version,
        message.id,
        tuple(map(_requested, message.outputs)) if message.outputs else (),
        decode_parameters(parameters) if parameters else _NO_PARAMETERS,
        bool(raw),
    )


def encode_request(request: InferRequest) -> pb.ModelInferRequest:
    """Always with raw contents. Raises InputError for a tensor that does not hold what it says."""
    message = pb.ModelInferRequest(model_name=request.model, model_version=request.version, id=request.id)
    for tensor in request.inputs:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensors.to_raw(tensor))
    for name in request.outputs:
        message.outputs.add(name=name)
    encode_parameters(request.parameters, message.parameters)
    return message


def decode_reply(message: pb.ModelInferResponse) -> InferReply:
    """Raises InputError that names the output."""
    parameters = decode_parameters(message.parameters)
    digest = parameters.get("skerry_digest", "")
    return InferReply(
        message.model_name,
        message.model_version,
        _decode_tensors(message.outputs, message.raw_output_contents, "output"),
        message.id,
        parameters,
        digest if isinstance(digest, str) else "",
    )


def encode_reply(reply: InferReply, request: InferRequest) -> pb.ModelInferResponse:
    """The outputs that `request` asked for, in its order, as raw or typed contents like its inputs."""
    message = pb.ModelInferResponse(model_name=reply.model, model_version=reply.version, id=request.id)
    chosen = reply.outputs if not request.outputs else _chosen(reply, request.outputs)
    raw = request.raw or any(tensor.datatype in RAW_ONLY for tensor in chosen)
    for tensor in chosen:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            message.raw_output_contents.append(tensors.to_raw(tensor))
        else:
            _encode_typed(tensor, output.contents)
    encode_parameters(reply.parameters, message.parameters)
    if reply.digest and "skerry_digest" not in reply.parameters:
        message.parameters["skerry_digest"].string_param = reply.digest
    return message


def decode_parameters(given: Mapping[str, Any]) -> dict[str, Parameter]:
    """Raises InputError for too many; a parameter without a value is left out."""
    if len(given) > MAX_PARAMETERS:
        raise errors.InputError(f"{len(given)} parameters were sent; at most {MAX_PARAMETERS} are read")
    out: dict[str, Parameter] = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            out[name] = getattr(parameter, kind)
    return out


def encode_parameters(parameters: Mapping[str, Parameter], into: Any) -> None:
    """bool, int64 and text only: some peers know no others, so a float goes as text."""
    for name, value in parameters.items():
        if isinstance(value, bool):
            into[name].bool_param = value
        elif isinstance(value, int):
            into[name].int64_param = value
        else:
            into[name].string_param = value if isinstance(value, str) else repr(value)


def _requested(output: pb.ModelInferRequest.InferRequestedOutputTensor) -> str:
    """The name of an output that the caller asks for. Raises InputError where it asks for it in a form that is not
    offered: an answer in another form would be taken for the one that was asked for."""
    for name in UNSUPPORTED_OF_OUTPUTS:
        if name in output.parameters:
            raise errors.InputError(
                f"output {output.name[:80]!r}: parameter {name!r} is not supported here; ask for the output without it "
                "and take the largest numbers yourself"
                if name == CLASSIFICATION
                else f"output {output.name[:80]!r}: parameter {name!r} is not supported here: answers come in the reply"
            )
    return output.name


def _decode_tensors(messages: Any, raw: Any, what: str) -> tuple[Tensor, ...]:
    if raw:
        if len(raw) != len(messages):
            raise errors.InputError(
                f"{len(raw)} raw {what} contents were sent for {len(messages)} {what}s: they must be one per {what}"
            )
        # OIP v2: raw and typed contents must not be mixed; MLServer's client sends empty typed ones beside raw ones.
        for message in messages:
            if message.HasField("contents") and message.contents.ByteSize():
                raise errors.InputError(
                    f"{what} {message.name[:80]!r} has typed contents beside raw contents: send one kind"
                )
        decoded = tuple(
            tensors.from_raw(message.name, message.datatype, message.shape, data)
            for message, data in zip(messages, raw, strict=True)
        )
    else:
        decoded = tuple(map(_decode_typed, messages))
    names = [tensor.name for tensor in decoded]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise errors.InputError(f"{what} {twice[:80]!r} is there twice")
    return decoded


def _decode_typed(message: Any) -> Tensor:
    name, datatype, shape = message.name, message.datatype, tuple(message.shape)
    dtype = tensors.dtype_of(name, datatype)
    if datatype in RAW_ONLY:
        raise errors.InputError(f"input {name!r}: {datatype} can only be sent as raw contents")
    count, field = tensors.elements(name, shape), _FIELDS[datatype]
    for other, _ in message.contents.ListFields():
        if other.name != field:
            raise errors.InputError(f"input {name!r}: {datatype} belongs into {field}, not {other.name}")
    values = getattr(message.contents, field)
    if count > MAX_TYPED:
        raise errors.TooLargeError(
            f"input {name!r}: {count} elements of typed contents; at most {MAX_TYPED} are read: send raw contents"
        )
    if len(values) != count:
        raise errors.InputError(
            f"input {name!r}: shape {list(shape)} has {count} elements, but {len(values)} were sent"
        )
    if datatype == "BYTES":
        data = np.empty(count, dtype=object)
        data[:] = list(values)
    else:
        data = _narrowed(name, datatype, np.fromiter(values, _wide(field), count), dtype)
    return Tensor(name, datatype, shape, data.reshape(shape))


def _narrowed(name: str, datatype: str, wide: Any, dtype: np.dtype[Any]) -> Any:
    data = wide.astype(dtype)
    if dtype.kind in "iu" and (data != wide).any():
        raise errors.InputError(f"input {name!r}: a value does not fit into {datatype}")
    return data


def _wide(field: str) -> np.dtype[Any]:
    return np.dtype(
        {
            "bool_contents": np.bool_,
            "int_contents": np.int32,
            "int64_contents": np.int64,
            "uint_contents": np.uint32,
            "uint64_contents": np.uint64,
            "fp32_contents": np.float32,
            "fp64_contents": np.float64,
        }[field]
    )


def _encode_typed(tensor: Tensor, contents: pb.InferTensorContents) -> None:
    if tensor.data.size > MAX_TYPED:
        raise errors.TooLargeError(
            f"output {tensor.name!r} has {tensor.data.size} elements; at most {MAX_TYPED} go as typed contents: send "
            "raw contents to get them"
        )
    values: Iterable[Any] = tensor.data.ravel().tolist()
    if tensor.datatype == "BYTES":
        values = [value.encode() if isinstance(value, str) else value for value in values]
    getattr(contents, _FIELDS[tensor.datatype]).extend(values)


def _chosen(reply: InferReply, names: tuple[str, ...]) -> tuple[Tensor, ...]:
    by_name = {tensor.name: tensor for tensor in reply.outputs}
    if missing := [name for name in names if name not in by_name]:
        raise errors.InputError(
            f"model {reply.model!r} has no output {missing[0][:80]!r}; it has {', '.join(by_name) or 'none'}"
        )
    return tuple(by_name[name] for name in names)
