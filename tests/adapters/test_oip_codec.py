"""The codec keeps the protocol's rules: exact sizes, no mixing, raw in raw out, every error names the input."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skerry.adapters.oip import codec
from skerry.core import errors, tensors
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

TYPED = [name for name in tensors.DTYPES if name not in codec.RAW_ONLY]


def request(*inputs: dict[str, Any], raw: list[bytes] | None = None, **fields: Any) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name="m", **fields)
    for one in inputs:
        made.inputs.add(**one)
    made.raw_input_contents.extend(raw or [])
    return made


@st.composite
def arrays(draw: st.DrawFn, datatype: str) -> Any:
    shape = draw(hnp.array_shapes(max_dims=3, max_side=3))
    if datatype == "BYTES":
        size = int(np.prod(shape))
        data = np.empty(size, dtype=object)
        data[:] = draw(st.lists(st.binary(max_size=9), min_size=size, max_size=size))
        return data.reshape(shape)
    if datatype == "BF16":
        return (draw(hnp.arrays(np.uint16, shape, elements=st.integers(0, 0x7F7F))).astype(np.uint32) << 16).view(
            np.float32
        )
    return draw(hnp.arrays(tensors.DTYPES[datatype], shape))


def _same(found: Tensor, sent: Tensor) -> bool:
    if sent.datatype == "BYTES":
        return bool((found.data == sent.data).all())
    return found.data.tobytes() == sent.data.tobytes() and found.data.dtype == sent.data.dtype


@pytest.mark.parametrize("datatype", list(tensors.DTYPES))
@given(data=st.data())
def test_raw_contents_of_every_datatype_come_back(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    sent = Tensor("x", datatype, array.shape, array)
    message = codec.encode_request(InferRequest("m", (sent,), "3", "id", ("y",), {"flag": True, "n": 5, "s": "t"}))
    back = codec.decode_request(pb.ModelInferRequest.FromString(message.SerializeToString()))
    assert (back.model, back.version, back.id, back.outputs, back.raw) == ("m", "3", "id", ("y",), True)
    assert back.parameters == {"flag": True, "n": 5, "s": "t"}
    assert (back.inputs[0].name, back.inputs[0].datatype, back.inputs[0].shape) == ("x", datatype, array.shape)
    assert _same(back.inputs[0], sent)


@pytest.mark.parametrize("datatype", TYPED)
@given(data=st.data())
def test_typed_contents_of_every_datatype_come_back(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    sent = Tensor("x", datatype, array.shape, array)
    reply = InferReply("m", "1", (sent,))
    typed = codec.encode_reply(reply, InferRequest("m", (), raw=False))
    assert not typed.raw_output_contents
    assert _same(codec.decode_reply(typed).outputs[0], sent)
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype=datatype, shape=array.shape, contents=typed.outputs[0].contents)
    back = codec.decode_request(message)
    assert not back.raw
    assert _same(back.inputs[0], sent)


@pytest.mark.parametrize("datatype", sorted(codec.RAW_ONLY))
def test_half_precision_leaves_as_raw_even_for_typed_requests(datatype: str) -> None:
    tensor = Tensor("y", datatype, (1,), np.ones(1, dtype=tensors.DTYPES[datatype]))
    message = codec.encode_reply(InferReply("m", "1", (tensor,)), InferRequest("m", (), raw=False))
    assert len(message.raw_output_contents) == 1


ONE = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
SCALAR = {"name": "x", "shape": [1]}
EIGHT = struct.pack("<2f", 1, 2)
TYPED_ONE = ONE | {"contents": pb.InferTensorContents(fp32_contents=[1, 2])}
BAD = [
    ("dimension -1", request(ONE | {"shape": [-1, 2]}, raw=[EIGHT]), "'x'", "below 1"),
    ("dimension 0", request(ONE | {"shape": [0, 2]}, raw=[b""]), "'x'", "below 1"),
    ("product mismatch", request(ONE | {"shape": [1, 3]}, raw=[EIGHT]), "'x'", "12 bytes, but 8"),
    ("overflow", request(ONE | {"shape": [1 << 31, 1 << 31]}, raw=[EIGHT]), "'x'", "more than"),
    ("overflow of 64 bits", request(ONE | {"shape": [1 << 32, 1 << 32]}, raw=[b""]), "'x'", "more than"),
    ("typed overflow", request(TYPED_ONE | {"shape": [1 << 31, 1 << 31]}), "'x'", "more than"),
    ("unknown datatype", request(ONE | {"datatype": "FP8"}, raw=[EIGHT]), "'x'", "unknown"),
    ("no datatype", request(ONE | {"datatype": ""}, raw=[EIGHT]), "'x'", "unknown"),
    ("both contents", request(TYPED_ONE, raw=[EIGHT]), "'x'", "one kind"),
    ("fewer raw contents", request(ONE, ONE | {"name": "z"}, raw=[EIGHT]), "1 raw input", "2 inputs"),
    ("more raw contents", request(ONE, raw=[EIGHT, EIGHT]), "2 raw input", "1 inputs"),
    ("raw contents without inputs", request(raw=[EIGHT]), "1 raw input", "0 inputs"),
    ("truncated raw bytes", request(ONE, raw=[EIGHT[:7]]), "'x'", "8 bytes, but 7"),
    ("no contents", request(ONE), "'x'", "0 were sent"),
    ("an input twice", request(ONE, ONE, raw=[EIGHT, EIGHT]), "'x'", "twice"),
    ("FP16 typed", request(ONE | {"datatype": "FP16"}), "'x'", "raw contents"),
    ("wrong field", request(ONE | {"datatype": "FP64", "contents": TYPED_ONE["contents"]}), "'x'", "fp64_contents"),
    (
        "two fields",
        request(ONE | {"contents": pb.InferTensorContents(fp32_contents=[1, 2], int_contents=[1])}),
        "'x'",
        "not int_contents",
    ),
    (
        "INT8 out of range",
        request(
            {"name": "x", "datatype": "INT8", "shape": [1], "contents": pb.InferTensorContents(int_contents=[128])}
        ),
        "'x'",
        "does not fit into INT8",
    ),
    (
        "UINT16 out of range",
        request(
            {
                "name": "x",
                "datatype": "UINT16",
                "shape": [1],
                "contents": pb.InferTensorContents(uint_contents=[1 << 16]),
            }
        ),
        "'x'",
        "does not fit into UINT16",
    ),
    ("BYTES cut off", request(ONE | {"datatype": "BYTES", "shape": [1]}, raw=[b"\5\0\0\0ab"]), "'x'", "longer"),
    ("BOOL of 2", request(ONE | {"datatype": "BOOL", "shape": [1]}, raw=[b"\2"]), "'x'", "0 or 1"),
]


@pytest.mark.parametrize(("message", "name", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_malformed_request_is_refused_by_name(message: pb.ModelInferRequest, name: str, says: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        codec.decode_request(message)
    assert name in str(caught.value)
    assert says in str(caught.value)


def test_empty_typed_contents_beside_raw_ones_are_none() -> None:
    message = request(ONE | {"contents": pb.InferTensorContents()}, raw=[EIGHT])
    assert message.inputs[0].HasField("contents")
    assert codec.decode_request(message).inputs[0].data.tolist() == [[1.0, 2.0]]


def test_too_many_parameters_are_refused() -> None:
    message = request()
    for at in range(65):
        message.parameters[str(at)].int64_param = at
    with pytest.raises(errors.InputError, match="at most 64"):
        codec.decode_request(message)


def test_every_kind_of_parameter_is_read_and_only_three_are_written() -> None:
    message = request()
    message.parameters["b"].bool_param = True
    message.parameters["i"].int64_param = -5
    message.parameters["s"].string_param = "text"
    message.parameters["d"].double_param = 0.5
    message.parameters["u"].uint64_param = 1 << 63
    message.parameters["none"].SetInParent()
    assert codec.decode_request(message).parameters == {"b": True, "i": -5, "s": "text", "d": 0.5, "u": 1 << 63}
    reply = InferReply("m", "1", (), parameters={"b": False, "i": 7, "s": "t", "f": 0.25})
    written = codec.encode_reply(reply, InferRequest("m", ())).parameters
    kinds = {name: written[name].WhichOneof("parameter_choice") for name in written}
    assert kinds == {"b": "bool_param", "i": "int64_param", "s": "string_param", "f": "string_param"}


def test_a_reply_has_the_asked_outputs_in_order_the_request_id_and_the_digest() -> None:
    outputs = tuple(Tensor.of(name, np.array([[at]], dtype=np.float32)) for at, name in enumerate("abc"))
    reply = InferReply("m", "7", outputs, digest="sha256:00")
    message = codec.encode_reply(reply, InferRequest("m", (), id="r1", outputs=("c", "a")))
    assert (message.model_name, message.model_version, message.id) == ("m", "7", "r1")
    assert [one.name for one in message.outputs] == ["c", "a"]
    assert [struct.unpack("<f", one)[0] for one in message.raw_output_contents] == [2.0, 0.0]
    assert message.parameters["skerry_digest"].string_param == "sha256:00"
    assert codec.decode_reply(message).digest == "sha256:00"
    with pytest.raises(errors.InputError, match="'d'"):
        codec.encode_reply(reply, InferRequest("m", (), outputs=("d",)))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_an_error_of_ours(data: bytes) -> None:
    try:
        message = pb.ModelInferRequest.FromString(data)
    except Exception:
        return
    try:
        codec.decode_request(message)
    except errors.InputError as exc:
        assert str(exc)
