"""The tiny network of the simulation: three classes of four numbers. Versions of it are imported as a person would, and
one of them is what the trivial teacher serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import manifest, tensors
from skerry.core.tasks import Classification

MODEL, INPUT, OUTPUT = "scale", "x", "logits"
FEATURES = 4
CLASSES = ("a", "b", "c")


def weights(scale: float) -> NDArray[np.float32]:
    """FEATURES × classes; every scale answers with the same class."""
    plain = np.array([[1, -1, 0], [0, 1, -1], [-1, 0, 1], [1, 1, -2]], dtype=np.float32)
    return plain * np.float32(scale)


def edge_model(soak_s: int, nodes: int) -> dict[str, Any]:
    """EdgeModel.spec: no training; a rollout of three waves, judged by what the curator counts of real uploads. In a
    large fleet the answers of too few nodes decide nothing: four are in the canary of a small one."""
    canary = "10%" if nodes >= 40 else "4"
    waves = [
        {"name": "canary", "size": canary, "soakSeconds": soak_s, "maxFailures": "0"},
        {"name": "half", "size": "50%", "soakSeconds": soak_s // 3, "maxFailures": "0"},
        {"name": "rest", "size": "100%", "soakSeconds": 2, "maxFailures": "0"},
    ]
    analysis = {"minSamples": 100, "marginPermille": 30, "harmPermille": 10, "historySeconds": 60}
    return {
        "classNames": list(CLASSES),
        "input": {"name": INPUT, "datatype": "FP32", "shape": [FEATURES]},
        "retrain": {"enabled": False},
        "offload": {"explorationPermille": 100},
        "rollout": {"fleet": "all", "waves": waves, "analysis": analysis, "judgeTimeoutSeconds": 600},
    }


def network(scale: float) -> bytes:
    """An ONNX file: logits = x · weights(scale)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    taken = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", FEATURES])
    given = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(CLASSES)])
    held = [numpy_helper.from_array(weights(scale), "w")]
    graph = helper.make_graph([helper.make_node("MatMul", [INPUT, "w"], [OUTPUT])], "scale", [taken], [given], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def write_import(folder: Path, scale: float) -> list[str]:
    """The files of a version, and the words after `skerry` that import it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network(scale))
    rows = np.random.default_rng(3).normal(size=(6, FEATURES)).astype(np.float32)
    np.savez(folder / "golden.npz", x=rows)
    words = ["models", "import", str(folder / "model.onnx"), "--name", MODEL, "--labels", ",".join(CLASSES)]
    return [*words, "--golden", str(folder / "golden.npz")]


def write_teacher(folder: Path) -> None:
    """A version in a teacher's model repository."""
    from skerry.serving import selftest

    data = network(1.0)
    rows = np.random.default_rng(3).normal(size=(6, FEATURES)).astype(np.float32)
    golden = selftest.pack({INPUT: rows}, {OUTPUT: rows @ weights(1.0)})
    spec = tensors.Spec(INPUT, "FP32", (FEATURES,))
    described = manifest.Manifest(
        model=MODEL,
        runtime=manifest.Runtime(8, {"": 17}),
        files={"model": manifest.file_of("model.onnx", data), "golden": manifest.file_of("golden.npz", golden)},
        inputs=(spec,),
        network_inputs=(spec,),
        outputs=(tensors.Spec(OUTPUT, "FP32", (len(CLASSES),)),),
        preprocessing=(),
        task=Classification(CLASSES),
        golden=manifest.Golden(1e-3, 0.0),
    )
    version = folder / MODEL / "1"
    version.mkdir(parents=True, exist_ok=True)
    write: Callable[[str, bytes], int] = lambda name, content: (version / name).write_bytes(content)  # noqa: E731
    write("model.onnx", data)
    write("golden.npz", golden)
    write(manifest.FILE_NAME, described.to_json())
