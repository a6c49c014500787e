"""A model keeps its interface: importing another one is refused, an earlier one is rolled back to, and every input of a
network is described."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from cli_system import StillSystem
from onnx import TensorProto, helper
from onnx_imports import ROWS, SCORES, W, X, file, manifest_of, refusal, told, value, words

from skerry.adapters import blobs
from skerry.adapters.trust import ceremony
from skerry.core import writers


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    ceremony.ensure(
        blobs.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    return still


def test_another_order_of_classes_is_refused(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, models.linear())
    assert "its class 0 is 'c', that of the model 'a'" in refusal(
        system, tmp_path, models.linear(2.0), "--labels", "c,a,b"
    )


def test_another_input_is_refused(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, models.linear())
    renamed = onnx.load_from_string(models.linear())
    renamed.graph.input[0].name = renamed.graph.node[0].input[0] = "pixels"
    said = refusal(system, tmp_path, renamed.SerializeToString(), golden={"pixels": ROWS})
    assert "its input is named 'pixels', that of the model 'x'" in said
    assert "another --name" in said


def published(system: StillSystem, tmp_path: Path, *, stable: str, automatic: bool = True) -> None:
    """Versions 1 and 2, both published; `stable` is the stable one."""
    for scale in (1.0, 2.0):
        told(system, tmp_path, models.linear(scale))
    for name in ("level-v1", "level-v2"):
        condition = {
            "type": "Available",
            "status": "True",
            "reason": "Published",
            "message": "",
            "lastTransitionTime": "",
        }
        system.objects.patch("ModelVersion", name, manager=writers.CONTROLLER, status={"conditions": [condition]})
    system.objects.patch("EdgeModel", "level", manager=writers.CONTROLLER, status={"stableVersion": stable})
    if not automatic:
        system.objects.patch("EdgeModel", "level", manager=writers.OPERATOR, spec={"rollout": {"automatic": False}})


def test_importing_an_earlier_file_again_rolls_back_to_it(system: StillSystem, tmp_path: Path) -> None:
    published(system, tmp_path, stable="level-v2")
    again = told(system, tmp_path, models.linear(1.0))
    assert (again["version"], again["isNew"], again["whyNot"]) == ("level-v1", False, "")
    [rollout] = system.objects.list("ModelRollout")
    assert rollout.name == again["rollout"]
    assert (rollout.spec["version"], rollout.spec["rollback"]) == ("level-v1", True)


def test_importing_the_stable_file_again_says_that_nothing_is_to_do(system: StillSystem, tmp_path: Path) -> None:
    published(system, tmp_path, stable="level-v2")
    said = system.good(*words(tmp_path, models.linear(2.0)))
    assert "level-v2 was imported before" in said
    assert "nothing is rolled out: level-v2 is this very network" in said
    assert not system.objects.list("ModelRollout")


def test_a_model_that_is_not_rolled_out_by_itself_says_how(system: StillSystem, tmp_path: Path) -> None:
    published(system, tmp_path, stable="level-v2", automatic=False)
    assert "`skerry rollout start level-v1`" in system.good(*words(tmp_path, models.linear(1.0)))
    assert not system.objects.list("ModelRollout")


def two_inputs() -> bytes:
    """scores = x·w + bias, the bias an input of its own, in whole numbers."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Cast", ["bias"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["product", "real"], ["scores"]),
    ]
    return file(nodes, [SCORES], inputs=[X, value("bias", TensorProto.INT64, ["N", 1])], w=W)


def test_a_network_may_have_several_inputs(system: StillSystem, tmp_path: Path) -> None:
    golden = {"x": ROWS, "bias": np.arange(6)[:, None]}
    told(system, tmp_path, two_inputs(), golden=golden)
    inputs = manifest_of(system, "level-v1").inputs
    assert [(spec.name, spec.datatype, spec.shape) for spec in inputs] == [
        ("x", "FP32", (models.FEATURES,)),
        ("bias", "INT64", (1,)),
    ]
    assert system.objects.get("EdgeModel", "level").spec["input"]["name"] == "x"


@pytest.mark.parametrize(
    ("golden", "said"),
    [
        pytest.param({"x": ROWS}, "has no array 'bias'", id="an input without golden rows"),
        pytest.param({"x": ROWS, "bias": np.ones((4, 1), int)}, "x 6, bias 4", id="rows that do not belong together"),
        pytest.param({"x": ROWS, "bias": np.full((6, 1), 0.5)}, "holds 0.5, which INT64", id="another datatype"),
    ],
)
def test_golden_rows_are_asked_for_every_input(
    system: StillSystem, tmp_path: Path, golden: dict[str, Any], said: str
) -> None:
    assert said in refusal(system, tmp_path, two_inputs(), golden=golden)


def test_golden_rows_of_numpys_own_datatype_are_taken_as_the_network_takes_them(
    system: StillSystem, tmp_path: Path
) -> None:
    told(system, tmp_path, models.linear(), golden={"x": ROWS.astype(np.float64)})
    assert manifest_of(system, "level-v1").inputs[0].datatype == "FP32"
    assert "row 2, column 0 holds 1e+300" in refusal(
        system, tmp_path, models.linear(), golden={"x": np.array([[1.0], [2.0], [1e300]]) * np.ones((1, 4))}
    )
