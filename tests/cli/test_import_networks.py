"""`skerry models import`: what others export is taken or refused with what to do, and a network is first run where it
hurts nobody."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
import slow_networks
from cli_system import StillSystem
from onnx import TensorProto, helper, numpy_helper
from onnx_imports import PRODUCT, ROWS, SCORES, W, X, file, manifest_of, refusal, told, value, words

from skerry.adapters import blobs, child_process
from skerry.adapters.trust import ceremony
from skerry.cli.importing import onnx_file, trial
from skerry.cli.importing.holdout_answers import Asked


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    ceremony.ensure(
        blobs.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    return still


# ---- outputs that nobody uses

LABEL_FIRST = file(
    [PRODUCT, helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)],
    [value("label", TensorProto.INT64, ["N"]), SCORES],
    w=W,
)
WITH_LOSS = file(
    [PRODUCT, helper.make_node("ReduceMean", ["scores"], ["loss"], keepdims=0)],
    [SCORES, value("loss", TensorProto.FLOAT, [])],
    w=W,
)
WITH_ATTENTION = file(
    [PRODUCT, helper.make_node("Identity", ["w"], ["attention"])],
    [SCORES, value("attention", TensorProto.FLOAT, list(W.shape))],
    w=W,
)
WITH_MASK = file(
    [PRODUCT, helper.make_node("Greater", ["scores", "z"], ["mask"])],
    [SCORES, value("mask", TensorProto.BOOL, ["N", 3])],
    w=W,
    z=np.zeros(1, np.float32),
)
# The forms that skl2onnx and onnxmltools give a classifier, with and without ZipMap.
TREES = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.0, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "class_treeids": [0] * 6,
    "class_nodeids": [1, 1, 1, 2, 2, 2],
    "class_ids": [0, 1, 2] * 2,
    "class_weights": [0.7, 0.2, 0.1, 0.1, 0.3, 0.6],
    "classlabels_int64s": [0, 1, 2],
}


def classifier(*, zipmap: bool) -> bytes:
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", **TREES)
    label = value("label", TensorProto.INT64, ["N"])
    if not zipmap:
        return file([node], [label, value("scores", TensorProto.FLOAT, ["N", None])], ml=True)
    zipped = helper.make_node("ZipMap", ["scores"], ["zipped"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    scores = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    info = helper.make_value_info("zipped", helper.make_sequence_type_proto(scores))
    return file([node, zipped], [label, info], ml=True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(LABEL_FIRST, id="a label before the scores"),
        pytest.param(WITH_LOSS, id="a loss"),
        pytest.param(WITH_ATTENTION, id="a tensor without rows"),
        pytest.param(WITH_MASK, id="a datatype that is not served"),
        pytest.param(classifier(zipmap=False), id="an export of scikit-learn or LightGBM"),
    ],
)
def test_outputs_that_nobody_asks_for_do_not_decide(system: StillSystem, tmp_path: Path, data: bytes) -> None:
    assert told(system, tmp_path, data)["output"] == "scores"
    assert [spec.name for spec in manifest_of(system, "level-v1").outputs] == ["scores"]


def test_which_output_answers_is_said_and_may_be_chosen(system: StillSystem, tmp_path: Path) -> None:
    two = [PRODUCT, helper.make_node("Softmax", ["scores"], ["chances"], axis=1)]
    data = file(two, [SCORES, value("chances", TensorProto.FLOAT, ["N", 3])], w=W)
    said = system.good(*words(tmp_path, data))
    assert "output 'scores' answers (not chances; --output chooses), with logits" in said
    chosen = told(system, tmp_path, data, "--output", "chances")
    assert (chosen["output"], chosen["answers"]) == ("chances", "probabilities")


@pytest.mark.parametrize(
    ("data", "more", "said"),
    [
        pytest.param(classifier(zipmap=True), (), "without ZipMap", id="a ZipMap names the way out"),
        pytest.param(WITH_LOSS, ("--output", "loss"), "'loss' is a single FP32 number", id="a loss cannot be chosen"),
        pytest.param(WITH_LOSS, ("--output", "los"), "no output 'los'", id="an output that is not there"),
        pytest.param(LABEL_FIRST, ("--labels", "a,b"), "'scores' is FP32 [batch, 3]", id="more scores than labels"),
    ],
)
def test_a_network_without_an_answer_is_told_what_its_outputs_are(
    system: StillSystem, tmp_path: Path, data: bytes, more: tuple[str, ...], said: str
) -> None:
    assert said in refusal(system, tmp_path, data, *more)


# ---- logits or probabilities

SOFTMAX = file([PRODUCT, helper.make_node("Softmax", ["scores"], ["y"], axis=1)], [value("y", 1, ["N", 3])], w=W)
CONSTANT = file(
    [helper.make_node("MatMul", ["x", "w"], ["zeros"]), helper.make_node("Add", ["zeros", "third"], ["scores"])],
    [SCORES],
    w=W * 0,
    third=np.full(3, 1 / 3, np.float32),
)


def test_a_network_that_ends_in_softmax_is_as_sure_as_it_says(system: StillSystem, tmp_path: Path) -> None:
    assert told(system, tmp_path, SOFTMAX, "--threshold", "0.8")["answers"] == "probabilities"
    assert manifest_of(system, "level-v1").confidence.outputs == "probabilities"
    assert told(system, tmp_path, models.linear(), "--name", "other")["answers"] == "logits"


def test_the_importer_may_say_what_a_network_answers_with(system: StillSystem, tmp_path: Path) -> None:
    assert told(system, tmp_path, SOFTMAX, "--logits")["answers"] == "logits"
    assert "leave --probabilities out" in refusal(system, tmp_path, models.linear(), "--probabilities")


def test_where_the_numbers_do_not_tell_it_is_asked(system: StillSystem, tmp_path: Path) -> None:
    assert "say --probabilities or --logits" in refusal(system, tmp_path, CONSTANT)
    assert told(system, tmp_path, CONSTANT, "--probabilities")["answers"] == "probabilities"


# ---- the first run, in a child


def test_a_loop_without_an_end_ends_with_the_childs_time(
    system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TIMEOUT_S", 3.0)
    rows = ROWS.copy()
    rows[1, 0] = 1e12  # turns
    assert "did not end in 3 s" in refusal(
        system, tmp_path, slow_networks.looping(models.weights(1.0)), golden={"x": rows}, code=5
    )


@pytest.mark.parametrize(("rows", "code", "names"), [(5000, None, True), (1000, None, False), (5000, -9, False)])
def test_a_child_whose_time_was_over_names_what_makes_it_shorter_where_it_had_many_rows(
    rows: int, code: int | None, names: bool
) -> None:
    ended = child_process.Ended((), code, "", child_process.Limits(300, 1 << 30, 1 << 20))
    said = trial.fewer_rows(ended, Asked(np.zeros((rows, 1))))
    assert (said == ", and it was asked about 5,000 rows: take a larger --stride, or a holdout of less time") is names
    assert bool(said) is names and trial.fewer_rows(ended, None) == ""


def test_a_row_that_loops_without_an_end_ends_long_before(
    system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "ROW_CPU_S", 0.5)
    rows = ROWS.copy()
    rows[0, 0] = 1e12  # turns
    said = refusal(system, tmp_path, slow_networks.looping(models.weights(1.0)), golden={"x": rows}, code=5)
    assert "one step of it took too long, perhaps a loop without an end" in said


def test_a_file_is_read_only_where_memory_and_time_are_bounded(
    system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "read", None)  # in this process: it would be a TypeError
    assert told(system, tmp_path, models.linear())["classes"] == ["a", "b", "c"]
    monkeypatch.setattr(trial, "_MEMORY_BYTES", 1 << 20)
    assert "the process that tried it" in refusal(system, tmp_path, models.linear(scale=2.0), code=5)


@pytest.mark.parametrize("kind", ["softmax", "statistics", "sum"])
def test_rows_that_influence_one_another_are_refused(system: StillSystem, tmp_path: Path, kind: str) -> None:
    said = refusal(system, tmp_path, models.rows_together(kind), code=5)
    assert "its rows influence one another" in said


# ---- weights beside the file


def _beside(name: str = "v") -> onnx.TensorProto:
    tensor = numpy_helper.from_array(W, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    return tensor


def _in_a_constant() -> bytes:
    return file([helper.make_node("Constant", [], ["w"], value=_beside()), PRODUCT], [SCORES])


def _in_a_branch() -> bytes:
    out = value("branch", TensorProto.FLOAT, list(W.shape))
    branches = {
        name: helper.make_graph([helper.make_node("Constant", [], ["branch"], value=tensor)], name, [], [out])
        for name, tensor in (("then", _beside()), ("else", numpy_helper.from_array(W, "v")))
    }
    node = helper.make_node("If", ["yes"], ["w"], then_branch=branches["then"], else_branch=branches["else"])
    return file([node, PRODUCT], [SCORES], yes=np.array(True))


def _in_a_function() -> bytes:
    body = [helper.make_node("Constant", [], ["w"], value=_beside()), helper.make_node("MatMul", ["a", "w"], ["b"])]
    function = helper.make_function("own", "Mine", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    graph = helper.make_graph([helper.make_node("Mine", ["x"], ["scores"], domain="own")], "g", [X], [SCORES])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8).SerializeToString()


@pytest.mark.parametrize("make", [_in_a_constant, _in_a_branch, _in_a_function])
def test_weights_beside_the_file_are_refused_wherever_they_are_named(
    system: StillSystem, tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    monkeypatch.chdir(tmp_path)  # where the runtime would find them
    assert "keeps weights in other files" in refusal(system, tmp_path, make())
