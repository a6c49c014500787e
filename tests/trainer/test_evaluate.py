"""Measuring: class names in our order, confidence from the holdout, and a damaged file is found before it serves."""

import io
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from own_networks import press
from training_world import MODEL, NAMES, spec, windows

from skerry.core import class_gates, confidence, errors, gates, manifest, specs, tensors
from skerry.core.class_maps import FormerClasses
from skerry.core.confidence import Outputs
from skerry.core.tasks import Classification
from skerry.nets import export
from skerry.serving import selftest
from skerry.trainer import compress, evaluate, golden, propose
from skerry.trainer.shipped import Shipped

X, Y = windows([40, 40, 40], seed=1)


@pytest.fixture(scope="module")
def version() -> Shipped:
    torch.manual_seed(0)
    model = specs.parse_edge_model(MODEL, spec())
    whole = export.export(press(width=48), X[:4])
    assert model.network is not None
    small = compress.to_int8(whole, X)
    return Shipped(propose.draft(model, model.network, small, whole), small.data)


@pytest.fixture(scope="module")
def finished(version: Shipped) -> tuple[manifest.Manifest, bytes]:
    tested = golden.build(version, X)
    made = propose.complete(
        version.manifest,
        golden=tested.data,
        tolerance_abs=tested.tolerance_abs,
        confidence=Classification(NAMES).calibrate(version.logits(X), Y, 0.1, Outputs.LOGITS),
        latency_cap_ms=0.0,
        dataset="",
        parents=(),
        metrics={},
    )
    return made, tested.data


def test_the_finished_version_passes_its_own_self_test(
    version: Shipped, finished: tuple[manifest.Manifest, bytes]
) -> None:
    result = selftest.check(finished[0], version.model, finished[1])
    assert result.passed, result.reason


def test_about_the_target_rate_lies_below_the_threshold(version: Shipped) -> None:
    answers = evaluate.Answers(version.logits(X))
    made = Classification(NAMES).calibrate(answers.logits, Y, 0.25, Outputs.LOGITS)
    shifted = answers.logits / made.temperature
    sure = (np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)).max(axis=1)
    assert (sure < made.threshold).mean() == pytest.approx(0.25, abs=0.02)
    assert sum(made.reference) == len(X)


def test_probabilities_are_calibrated_as_what_they_are(version: Shipped) -> None:
    """The same answers as logits or as probabilities: the same confidence, temperature and threshold."""
    logits = version.logits(X)
    given = confidence.softmax(logits).astype(np.float32)
    assert (evaluate.kind_of(logits), evaluate.kind_of(given)) == (Outputs.LOGITS, Outputs.PROBABILITIES)
    of_logits = Classification(NAMES).calibrate(logits, Y, 0.25, Outputs.LOGITS)
    of_given = Classification(NAMES).calibrate(given, Y, 0.25, Outputs.PROBABILITIES)
    assert of_given.outputs is Outputs.PROBABILITIES
    assert of_given.temperature == pytest.approx(of_logits.temperature, rel=0.02)
    assert of_given.threshold == pytest.approx(of_logits.threshold, abs=0.01)


def test_no_usable_answer_gives_the_neutral_confidence() -> None:
    nothing = evaluate.Answers(np.full((3, 3), np.nan, np.float32))
    assert Classification(NAMES).calibrate(nothing.logits, Y[:3], 0.1, Outputs.LOGITS) == confidence.Calibration()
    assert nothing.classes.tolist() == [-1, -1, -1]


def test_a_file_cut_at_any_byte_is_refused(version: Shipped, finished: tuple[manifest.Manifest, bytes]) -> None:
    for cut in [*range(0, len(version.model), max(1, len(version.model) // 40)), len(version.model) - 1]:
        result = selftest.check(finished[0], version.model[:cut], finished[1])
        assert not result.passed, f"cut at {cut} of {len(version.model)} was not found"


def test_zeroed_weights_are_refused_by_the_self_test_and_by_the_gates(
    version: Shipped, finished: tuple[manifest.Manifest, bytes]
) -> None:
    model = onnx.load_from_string(version.model)
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT32):
            zeros = onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(tensor)), tensor.name)
            tensor.CopyFrom(zeros)
    zeroed = model.SerializeToString()
    assert not selftest.check(finished[0], zeroed, finished[1]).passed
    answers = evaluate.Answers(Shipped(version.manifest, zeroed).logits(X))
    held = class_gates.Holdout("imported", NAMES, Y, answers.classes)
    verdict = gates.judge(gates.GatePolicy(min_holdout=60), gates.Measurements([held]))
    assert verdict.outcome is gates.Outcome.FAIL and "no better than chance" in verdict.reason


def test_rows_that_come_out_as_no_numbers_are_marked_one_by_one(version: Shipped) -> None:
    """The network is made to answer the square root of how far its first logit lies above the median."""
    logits = version.logits(X)
    middle = np.median(logits[:, :1])
    model = onnx.load_from_string(version.model)
    output = model.graph.output[0].name
    next(node for node in model.graph.node if output in node.output).output[0] = "before"
    first = np.float32([[1, 1, 1], [0, 0, 0], [0, 0, 0]])
    for name, value in (("first", first), ("middle", np.float32([middle]))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    for kind, inputs, made in (
        ("MatMul", ["before", "first"], "firsts"),
        ("Sub", ["firsts", "middle"], "above"),
        ("Sqrt", ["above"], output),
    ):
        model.graph.node.append(onnx.helper.make_node(kind, inputs, [made]))
    broken = Shipped(version.manifest, model.SerializeToString())
    usable = evaluate.Answers(broken.logits(X)).classes >= 0
    np.testing.assert_array_equal(usable, logits[:, 0] >= middle)
    assert 0 < usable.sum() < len(X)


def test_a_version_with_other_class_names_answers_in_ours() -> None:
    theirs = np.int64([0, 1, 2, -1])
    found = evaluate.in_our_terms(theirs, Classification(("worn", "gone", "ok")), Classification(NAMES))
    assert found.tolist() == [1, -1, 0, -1]


def test_a_version_of_former_classes_answers_by_the_class_map_and_not_by_names() -> None:
    swapped = FormerClasses(tuple(NAMES), ((NAMES[0], NAMES[1]), (NAMES[1], NAMES[0])))
    ours = Classification((NAMES[1], NAMES[0], *NAMES[2:]), (swapped,))
    found = evaluate.in_our_terms(np.int64([0, 1, 2, -1]), Classification(tuple(NAMES)), ours)
    assert found.tolist() == [0, 1, 2, -1]


def test_the_latency_is_that_of_one_warm_row(version: Shipped) -> None:
    assert 0 < evaluate.latency_us(version, X[:1]) < 1e6


def test_a_version_that_takes_something_else_cannot_be_asked(version: Shipped) -> None:
    other = replace(version.manifest, inputs=(tensors.Spec("frame", "UINT8", (20, 4)),))
    with pytest.raises(errors.InputError, match="frame UINT8"):
        evaluate.check_same_input(version.manifest, other)


def test_the_golden_set_holds_rows_as_callers_send_them(version: Shipped) -> None:
    with np.load(io.BytesIO(golden.build(version, X).data)) as arrays:
        np.testing.assert_array_equal(arrays["window"], X[: golden.ROWS])
        assert arrays["logits"].shape == (golden.ROWS, 3)
