"""Networks of every type of number that the protocol has: loaded, tried on their golden rows, and answered by raw and
by typed contents, through the calls of the protocol."""

from pathlib import Path

import models
import numpy as np
import onnx_files
import pytest
from numpy.typing import NDArray
from oip_calls import infer, served
from onnx import helper
from plane import Plane

from skerry.core import tensors
from skerry.core.inference import InferRequest
from skerry.core.manifest import Manifest
from skerry.core.tensors import Spec, Tensor
from skerry.proto import open_inference_pb2 as pb
from skerry.serving import selftest

X = np.array([[0, 1, 1, 0], [1, 0, 0, 1]])
EXPECTED = X @ models.weights(1.0)
TYPED = {
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
}
NUMBERS = [*TYPED, "FP16", "BF16"]


def raw(datatype: str, x: NDArray[np.int64]) -> bytes:
    """The bytes as the protocol's clients write them, by nothing of ours."""
    if datatype == "BF16":  # the upper half of a float32 (tritonclient.utils.serialize_bf16_tensor cuts as well)
        return x.astype("<f4").reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, 2:].tobytes()
    kinds = {"BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
    kind = kinds.get(datatype) or f"<{'u' if datatype[0] == 'U' else 'i'}{int(datatype.split('INT')[1]) // 8}"
    return x.astype(kind).tobytes()


def request(datatype: str) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype=datatype, shape=X.shape)
    return message


@pytest.mark.parametrize("datatype", NUMBERS)
async def test_a_network_of_any_number_type_answers_raw_contents(tmp_path: Path, datatype: str) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, datatype)
    _, methods = await served(tmp_path)
    message = request(datatype)
    message.raw_input_contents.append(raw(datatype, X))
    first, again = await infer(methods, *[message.SerializeToString()] * 2)
    for call in (first, again):
        assert call.answer is not None, call.failure
        (logits,) = pb.ModelInferResponse.FromString(call.answer).raw_output_contents
        np.testing.assert_array_equal(np.frombuffer(logits, np.float32).reshape(EXPECTED.shape), EXPECTED)


@pytest.mark.parametrize("datatype", TYPED)
async def test_a_network_of_any_number_type_answers_typed_contents(tmp_path: Path, datatype: str) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, datatype)
    _, methods = await served(tmp_path)
    message = request(datatype)
    getattr(message.inputs[0].contents, TYPED[datatype]).extend(X.ravel().tolist())
    (call,) = await infer(methods, message.SerializeToString())
    assert call.answer is not None, call.failure
    reply = pb.ModelInferResponse.FromString(call.answer)
    assert not reply.raw_output_contents
    np.testing.assert_array_equal(np.reshape(reply.outputs[0].contents.fp32_contents, EXPECTED.shape), EXPECTED)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
async def test_half_floats_come_raw_only(tmp_path: Path, datatype: str) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, datatype)
    _, methods = await served(tmp_path)
    message = request(datatype)
    message.inputs[0].contents.fp32_contents.extend(X.ravel().tolist())
    (call,) = await infer(methods, message.SerializeToString())
    assert call.failure is not None
    assert f"{datatype} can only be sent as raw contents" in call.failure[1]


@pytest.mark.parametrize("output", ["FP64", "INT32", "INT16", "UINT16", "BOOL", "FP16", "BF16"])
async def test_outputs_of_any_number_type_leave_as_what_they_are(tmp_path: Path, output: str) -> None:
    data = models.cast_linear("INT16", output)
    specs = [Spec("x", "INT16", (models.FEATURES,))], [Spec("logits", output, (models.CLASSES,))]
    models.write(tmp_path, "digits", 1, data, models.manifest_for("digits", data, *specs), None)
    _, methods = await served(tmp_path)
    positive = np.array([[0, 0, 1, 1]])
    message = pb.ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="INT16", shape=positive.shape)
    message.raw_input_contents.append(raw("INT16", positive))
    (call,) = await infer(methods, message.SerializeToString())
    assert call.answer is not None, call.failure
    reply = pb.ModelInferResponse.FromString(call.answer)
    assert reply.outputs[0].datatype == output
    expected = (positive @ models.weights(1.0)).astype(np.int64)
    assert reply.raw_output_contents[0] == raw(output, expected)


async def test_callers_of_a_bf16_network_share_a_run_and_get_their_own_answers(tmp_path: Path) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, "BF16", "BF16")
    plane = await Plane(tmp_path).load_all()
    rows = np.random.default_rng(2).integers(-8, 8, (6, 1, models.FEATURES)).astype(np.float32)
    replies = [
        await plane.ask("digits", Tensor("x", "BF16", row.shape, row))
        for row in rows  # each alone
    ]
    together = await plane.answers([InferRequest("digits", (Tensor("x", "BF16", row.shape, row),)) for row in rows])
    for alone, shared in zip(replies, together, strict=True):
        np.testing.assert_array_equal(alone.outputs[0].data, shared.outputs[0].data)  # type: ignore[union-attr]


async def test_a_bf16_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, "BF16")
    _, methods = await served(tmp_path)
    message = request("BF16")
    message.raw_input_contents.append(b"\x80\x7f" * X.size)
    (call,) = await infer(methods, message.SerializeToString())
    assert call.failure is not None
    assert "NaN or an infinity" in call.failure[1]


async def test_an_integer_that_does_not_fit_is_refused_and_not_wrapped(tmp_path: Path) -> None:
    models.write_cast_linear(tmp_path, "digits", 1, "INT16")
    _, methods = await served(tmp_path)
    message = request("INT16")
    message.inputs[0].contents.int_contents.extend([40_000] * X.size)
    (call,) = await infer(methods, message.SerializeToString())
    assert call.failure is not None
    assert "a value does not fit into INT16" in call.failure[1]


def test_a_bf16_network_beside_texts_is_refused_at_load() -> None:
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("x", "t")]
    inputs = [Spec("x", "BF16", (2,)), Spec("t", "BYTES", (1,))]
    outputs = [Spec("x_out", "BF16", (2,)), Spec("t_out", "BYTES", (1,))]
    data = onnx_files.packed(nodes, inputs, outputs, {})
    made: Manifest = models.manifest_for("digits", data, inputs, outputs)
    result = selftest.check(made, data, None)
    assert not result.passed
    assert "texts beside BF16" in result.reason


def test_bf16_rounds_to_nearest_and_keeps_what_it_can_hold() -> None:
    bits = np.arange(0, 0x7F80, dtype="<u2")
    np.testing.assert_array_equal(tensors.to_bfloat16(tensors.from_bfloat16(bits)), bits)
    halfway = np.array([0x3F808000, 0x3F818000], "<u4").view("<f4")  # between two patterns: the even one
    assert tensors.to_bfloat16(halfway).tolist() == [0x3F80, 0x3F82]
