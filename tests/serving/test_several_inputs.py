"""Networks with several inputs: an image and what a gauge read, by name, with preprocessing of the first alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx_files
import pytest
from numpy.typing import NDArray
from oip_calls import infer, served
from onnx import helper
from plane import Plane, error_of, reply_of

from skerry.core import errors, manifest, preprocessing
from skerry.core.inference import InferRequest
from skerry.core.tensors import Spec, Tensor
from skerry.proto import open_inference_pb2 as pb
from skerry.serving import selftest

IMAGE, GAUGES = Spec("image", "UINT8", (2, 2)), Spec("gauges", "FP32", (3,))
SCALED = Spec("image", "FP32", (4,))
LOGITS = Spec("logits", "FP32", (models.CLASSES,))
STEPS = (preprocessing.Reshape((4,)), preprocessing.Affine(1 / 255))


def network() -> bytes:
    """logits = image · weights + gauges."""
    nodes = [helper.make_node("MatMul", ["image", "w"], ["h"]), helper.make_node("Add", ["h", "gauges"], ["logits"])]
    return onnx_files.packed(nodes, [SCALED, GAUGES], [LOGITS], {"w": models.weights(1.0)})


def rows(count: int, seed: int = 1) -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (count, 2, 2), dtype=np.uint8)
    return {"image": image, "gauges": draw.normal(size=(count, 3)).astype(np.float32)}


def expected(inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    scaled = inputs["image"].reshape(-1, 4).astype(np.float32) / 255
    answers: NDArray[np.float32] = scaled @ models.weights(1.0) + inputs["gauges"]
    return answers


def version(golden_of: dict[str, NDArray[Any]] | None = None) -> tuple[bytes, bytes, manifest.Manifest]:
    data, given = network(), rows(5)
    golden = selftest.pack(golden_of or given, {"logits": expected(given)})
    made = models.manifest_for(
        "valve", data, [IMAGE, GAUGES], [LOGITS], golden=golden, steps=STEPS, network_inputs=[SCALED, GAUGES]
    )
    return data, golden, manifest.check(made)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data, golden, made = version()
    models.write(tmp_path, "valve", 1, data, made, golden)
    return tmp_path


def sent(inputs: dict[str, NDArray[Any]], names: Sequence[str] = ("image", "gauges")) -> InferRequest:
    return InferRequest("valve", tuple(Tensor.of(name, inputs[name]) for name in names))


@pytest.mark.parametrize("names", [("image", "gauges"), ("gauges", "image")])
async def test_inputs_are_taken_by_name_in_any_order(root: Path, names: tuple[str, ...]) -> None:
    plane, given = await Plane(root).load_all(), rows(3)
    (answer,) = await plane.answers([sent(given, names)])
    np.testing.assert_allclose(reply_of(answer).outputs[0].data, expected(given), rtol=1e-5)


async def test_callers_that_share_a_run_get_the_answers_to_their_own_pairs(root: Path) -> None:
    plane = await Plane(root).load_all()
    given = [rows(1 + at % 3, seed=at) for at in range(9)]
    answers = await plane.answers([sent(one) for one in given])
    for answer, one in zip(answers, given, strict=True):
        np.testing.assert_allclose(reply_of(answer).outputs[0].data, expected(one), rtol=1e-5)


async def test_raw_contents_come_in_the_order_of_the_inputs_that_were_sent(root: Path) -> None:
    _, methods = await served(root)
    given = rows(2)
    message = pb.ModelInferRequest(model_name="valve")
    for name, datatype in (("gauges", "FP32"), ("image", "UINT8")):
        message.inputs.add(name=name, datatype=datatype, shape=given[name].shape)
        message.raw_input_contents.append(given[name].tobytes())
    first, again = await infer(methods, *[message.SerializeToString()] * 2)
    for call in (first, again):
        assert call.answer is not None, call.failure
        (logits,) = pb.ModelInferResponse.FromString(call.answer).raw_output_contents
        np.testing.assert_allclose(np.frombuffer(logits, np.float32).reshape(2, 3), expected(given), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: sent(one, ("image",)), "input 'gauges' is missing; model 'valve' takes image, gauges"),
        (lambda one: sent(one, ("image", "image")), "an input is there twice"),
        (lambda one: sent(one | {"gauges": one["gauges"][:1]}), "input 'gauges' has 1 rows, input 'image' has 3"),
        (lambda one: sent(one | {"gauges": one["gauges"][:, :2]}), "input 'gauges' must have shape"),
        (lambda one: sent(one | {"gauges": one["gauges"] * np.float32("nan")}), "input 'gauges' holds NaN"),
        (lambda one: sent(one | {"depth": one["gauges"]}, ("image", "gauges", "depth")), "input 'depth' is unknown"),
    ],
    ids=["one is missing", "one twice", "fewer rows of one", "another width of one", "NaN in one", "one too many"],
)
async def test_what_is_wrong_with_one_input_is_said_by_its_name_and_harms_no_other_caller(
    root: Path, change: Any, words: str
) -> None:
    plane, given = await Plane(root).load_all(), rows(3)
    before, bad, after = await plane.answers([sent(given), change(given), sent(given)])
    assert isinstance(error_of(bad), errors.InputError)
    assert words in str(bad)
    for good in (before, after):
        np.testing.assert_allclose(reply_of(good).outputs[0].data, expected(given), rtol=1e-5)


def test_a_golden_set_holds_every_input() -> None:
    data, golden, made = version()
    assert selftest.check(made, data, golden).passed
    other = rows(5) | {"gauges": rows(5, seed=9)["gauges"]}
    data, golden, made = version(golden_of=other)
    assert "golden set differs" in selftest.check(made, data, golden).reason
    inputs, _ = selftest.unpack(golden, made)
    assert set(inputs) == {"image", "gauges"}


def test_a_golden_set_without_one_of_the_inputs_is_refused() -> None:
    data, _, made = version()
    golden = selftest.pack({"image": rows(5)["image"]}, {"logits": expected(rows(5))})
    made = replace(made, files={**made.files, "golden": manifest.file_of("golden.npz", golden)})
    result = selftest.check(made, data, golden)
    assert not result.passed
    assert "gauges" in result.reason
