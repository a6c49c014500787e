"""`skerry models`: a finished network becomes a signed version or is refused with a reason."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from cli_system import StillSystem
from onnx import helper, numpy_helper

from skerry.adapters import blobs
from skerry.adapters.trust import ceremony, keys, repository
from skerry.core import manifest

NOW = 1_790_000_000_000
LABELS = "low,middle,high"
ROWS = np.random.default_rng(3).normal(size=(6, models.FEATURES)).astype(np.float32)


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    ceremony.ensure(
        blobs.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    return still


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    np.savez(tmp_path / "golden.npz", x=ROWS)
    return tmp_path / "golden.npz"


def write(folder: Path, data: bytes, name: str = "model.onnx") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def import_(system: StillSystem, model: Path, golden: Path, *more: str) -> list[str | Path]:
    return ["models", "import", model, "--name", "level", "--labels", LABELS, "--golden", golden, *more]


def test_an_imported_network_is_signed_and_reproduces_its_answers(
    system: StillSystem, golden: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, models.linear())
    told = json.loads(system.good(*import_(system, path, golden, "--json")))
    version = system.objects.get("ModelVersion", "level-v1")
    assert version.spec["digest"] == told["digest"]
    reader = repository.Repository(blobs.open_shared(system.description.repository), {})
    signed = reader.find_version(version.spec["targetPath"])
    made = manifest.from_json(reader.read_target(signed, "manifest.json"))
    assert (signed.digest, made.class_names) == (told["digest"], ("low", "middle", "high"))
    assert reader.read_target(signed, "model.onnx") == path.read_bytes()
    from skerry.serving import selftest

    tried = selftest.check(made, path.read_bytes(), reader.read_target(signed, "golden.npz"))
    assert tried.passed
    assert blobs.fetch(system.blobs, made.files["model"].digest, 1 << 20) == path.read_bytes()


def test_a_model_that_nobody_described_is_described_by_its_network(
    system: StillSystem, golden: Path, tmp_path: Path
) -> None:
    system.good(*import_(system, write(tmp_path, models.linear()), golden))
    spec = system.objects.get("EdgeModel", "level").spec
    assert spec["classNames"] == ["low", "middle", "high"]
    assert spec["input"] == {"name": "x", "datatype": "FP32", "shape": [models.FEATURES]}


def test_importing_the_same_again_makes_no_second_version(system: StillSystem, golden: Path, tmp_path: Path) -> None:
    path = write(tmp_path, models.linear())
    system.good(*import_(system, path, golden))
    system.good(*import_(system, path, golden))
    assert [one.name for one in system.objects.list("ModelVersion")] == ["level-v1"]
    system.good(*import_(system, write(tmp_path, models.linear(2.0), "other.onnx"), golden))
    assert [one.name for one in system.objects.list("ModelVersion")] == ["level-v1", "level-v2"]


def test_labels_may_come_from_a_file_and_steps_apply_before_the_network(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("low\nmiddle\n\nhigh\n")
    (tmp_path / "steps.json").write_text('[{"op": "affine", "factor": 0.5, "offset": 0.0}]')
    np.savez(tmp_path / "golden.npz", x=(ROWS * 10).astype(np.int32))
    path = write(tmp_path, models.linear())
    system.good(
        *("models", "import", path, "--name", "level", "--labels", str(tmp_path / "labels.txt")),
        *("--golden", tmp_path / "golden.npz", "--preprocess", tmp_path / "steps.json"),
    )
    spec = system.objects.get("EdgeModel", "level").spec
    assert spec["classNames"] == ["low", "middle", "high"]
    assert spec["input"]["datatype"] == "INT32"
    assert [step["op"] for step in spec["preprocessing"]] == ["affine"]


def _external(data: bytes) -> bytes:
    graph = onnx.load_from_string(data)
    weights = graph.graph.initializer[0]
    weights.data_location = onnx.TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    weights.ClearField("raw_data")
    return graph.SerializeToString()


def _fixed_batch() -> bytes:
    graph = onnx.load_from_string(models.linear())
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return graph.SerializeToString()


def _opset(version: int) -> bytes:
    graph = onnx.load_from_string(models.linear())
    graph.opset_import[0].version = version
    return graph.SerializeToString()


def _ir(version: int) -> bytes:
    graph = onnx.load_from_string(models.linear())
    graph.ir_version = version
    return graph.SerializeToString()


def _own_operator() -> bytes:
    graph = onnx.load_from_string(models.linear())
    graph.graph.node[0].op_type, graph.graph.node[0].domain = "Mine", "com.example"
    graph.opset_import.append(helper.make_opsetid("com.example", 1))
    return graph.SerializeToString()


def _nan_weights() -> bytes:
    graph = onnx.load_from_string(models.linear())
    bad = numpy_helper.to_array(graph.graph.initializer[0]).copy()
    bad[0, 0] = np.nan
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(bad, "w"))
    return graph.SerializeToString()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "not", id="an empty file"),
        pytest.param(b"hello, I am a network", "not", id="a text"),
        pytest.param(
            _external(models.linear()), "weights in other files", id="weights in another file are never opened"
        ),
        pytest.param(_fixed_batch(), "dynamic first axis", id="a fixed batch axis"),
        pytest.param(models.with_fixed_rows(models.linear(), 4), "dynamic first axis", id="a fixed number of rows"),
        pytest.param(models.identity("FP32", (models.FEATURES,)), "3 labels", id="more outputs than labels"),
        pytest.param(models.not_finite(), "", id="answers that are no numbers"),
        pytest.param(_opset(99), "", id="an opset from the future"),
        pytest.param(_ir(99), "", id="a format version from the future"),
        pytest.param(_own_operator(), "", id="an operator that the runtime does not know"),
        pytest.param(_nan_weights(), "NaN", id="weights that are not finite"),
    ],
)
def test_a_network_that_cannot_be_served_is_refused_and_nothing_is_kept(
    system: StillSystem, golden: Path, tmp_path: Path, data: bytes, said: str
) -> None:
    done = system.run(*import_(system, write(tmp_path, data), golden))
    assert done.exit_code in (2, 5), (done.output, done.exception)
    assert done.stderr.startswith("skerry: ")
    assert said in done.stderr
    assert not system.objects.list("ModelVersion")
    assert not system.objects.list("EdgeModel")
    assert not list(system.blobs.list("sha256"))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_was_cut_is_refused(system: StillSystem, golden: Path, tmp_path: Path, share: float) -> None:
    data = models.linear()
    done = system.run(*import_(system, write(tmp_path, data[: int(len(data) * share)]), golden))
    assert done.exit_code in (2, 5), (done.output, done.exception)
    assert not system.objects.list("ModelVersion")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        pytest.param({"x": ROWS[:0]}, "no rows", id="no golden rows"),
        pytest.param({"x": ROWS * np.nan}, "NaN", id="golden rows that are not finite"),
        pytest.param({"x": ROWS[:, :2]}, "", id="golden rows of another shape"),
        pytest.param({"a": ROWS, "b": ROWS}, "no array 'x'", id="golden arrays of other names"),
        pytest.param({"x": np.array(["a", "b"])}, "", id="golden rows that are text"),
    ],
)
def test_golden_inputs_that_fit_not_are_refused(
    system: StillSystem, tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    np.savez(tmp_path / "golden.npz", **arrays)
    done = system.run(*import_(system, write(tmp_path, models.linear()), tmp_path / "golden.npz"))
    assert done.exit_code in (2, 5), (done.output, done.exception)
    assert said in done.stderr
    assert not system.objects.list("ModelVersion")


@pytest.mark.parametrize("labels", ["one", "a,a,b", ""])
def test_labels_must_name_two_different_classes(system: StillSystem, golden: Path, tmp_path: Path, labels: str) -> None:
    path = write(tmp_path, models.linear())
    said = system.bad(2, "models", "import", path, "--name", "level", "--labels", labels, "--golden", golden)
    assert "--labels" in said


def test_without_the_publishers_key_nothing_is_signed(system: StillSystem, golden: Path, tmp_path: Path) -> None:
    for key in (Path(system.description.keys) / keys.PUBLISHER).glob("*.pem"):
        key.unlink()
    assert "key" in system.bad(3, *import_(system, write(tmp_path, models.linear()), golden))
    assert not system.objects.list("ModelVersion")
