"""What every server of the bench serves, made once into a folder: the reference CNN and RNN, and requests for them.

The weights are random (the time does not depend on them), seeded, and the answers to the requests are known: a server
that answers something else is not measured. The folder is skerry's model repository; others take its `model.onnx`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BODIES = 16  # different requests, sent in turn, so that no server can answer from a cache
RNN_LENGTH = 64
ECHO_BYTES = 3136  # as many as the CNN's image
_STAMP = "models-1"


@dataclass(frozen=True, slots=True)
class Model:
    """`inputs` [BODIES, …] are single rows, `logits` [BODIES, classes] their answers by ONNX Runtime alone."""

    name: str
    onnx: Path
    datatype: str
    inputs: NDArray[Any]
    logits: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one request: a batch of one row."""
        return (1, *self.inputs.shape[1:])


def load(folder: Path) -> Mapping[str, Model]:
    """`cnn` and `rnn`, made when `folder` does not have them yet. `folder/<model>/1` is a version of skerry's."""
    stamp = folder / "stamp"
    if not stamp.is_file() or stamp.read_text() != _STAMP:
        _make(folder)
        stamp.write_text(_STAMP)
    return {name: _read(folder, name) for name in ("cnn", "rnn")}


def _read(folder: Path, name: str) -> Model:
    with np.load(folder / f"{name}.npz") as kept:
        inputs, logits = kept["inputs"], kept["logits"]
    datatype = {"f": "FP32", "i": "INT64"}[inputs.dtype.kind]
    return Model(name, folder / name / "1" / "model.onnx", datatype, inputs, logits)


def _make(folder: Path) -> None:
    import torch

    from skerry.nets import cnn, rnn

    torch.manual_seed(1)
    draw = np.random.default_rng(1)
    images = draw.random((BODIES, 1, 28, 28), dtype=np.float32)
    write(folder, "cnn", cnn.reference(10), images)
    write(folder, "rnn", rnn.tokens(2), draw.integers(0, 10_000, (BODIES, RNN_LENGTH), dtype=np.int64))


def write(folder: Path, name: str, network: Any, inputs: NDArray[Any]) -> None:
    from skerry.core import manifest, tensors
    from skerry.core.tasks import Classification
    from skerry.nets import export
    from skerry.serving import selftest

    exported = export.export(network, inputs)
    logits = export.run(exported.data, {export.INPUT: inputs})[0]
    golden = selftest.pack({export.INPUT: inputs}, {export.OUTPUT: logits})
    spec = tensors.Spec(export.INPUT, exported.input.datatype, inputs.shape[1:])
    described = manifest.Manifest(
        model=name,
        runtime=manifest.Runtime(export.MAX_IR_VERSION, {"": export.OPSET}),
        files={
            "model": manifest.file_of("model.onnx", exported.data),
            "golden": manifest.file_of("golden.npz", golden),
        },
        inputs=(spec,),
        network_inputs=(spec,),
        outputs=(tensors.Spec(export.OUTPUT, "FP32", logits.shape[1:]),),
        preprocessing=(),
        task=Classification(tuple(str(at) for at in range(logits.shape[1]))),
        golden=manifest.Golden(1e-3, 0.0),
    )
    version = folder / name / "1"
    version.mkdir(parents=True, exist_ok=True)
    for file, data in (
        ("model.onnx", exported.data),
        ("golden.npz", golden),
        (manifest.FILE_NAME, described.to_json()),
    ):
        (version / file).write_bytes(data)
    np.savez(folder / f"{name}.npz", inputs=inputs, logits=logits)


def oip_requests(model: Model) -> Sequence[bytes]:
    """ModelInferRequest messages with raw contents; each has an id of its own, as clients that want feedback send."""
    from skerry.proto import open_inference_pb2 as pb

    requests = []
    for at, row in enumerate(model.inputs):
        message = pb.ModelInferRequest(model_name=model.name, id=f"bench-{at:02}")
        message.inputs.add(name="input", datatype=model.datatype, shape=model.shape)
        message.raw_input_contents.append(row.tobytes())
        requests.append(message.SerializeToString())
    return requests


def json_requests(model: Model) -> Sequence[bytes]:
    """For HTTP servers that take JSON: the numbers as base64, which costs less than a list of them."""
    return [json.dumps({"x": base64.b64encode(row.tobytes()).decode()}).encode() for row in model.inputs]


def echo_requests() -> Sequence[bytes]:
    draw = np.random.default_rng(2)
    return [draw.bytes(ECHO_BYTES) for _ in range(BODIES)]


def oip_logits(reply: bytes) -> NDArray[np.float32]:
    """The answer in a ModelInferResponse, raw or typed."""
    from skerry.proto import open_inference_pb2 as pb

    message = pb.ModelInferResponse.FromString(reply)
    if message.raw_output_contents:
        return np.frombuffer(message.raw_output_contents[0], np.float32)
    return np.array(message.outputs[0].contents.fp32_contents, np.float32)


def json_logits(reply: bytes) -> NDArray[np.float32]:
    """The answer of an HTTP server: the numbers, however deeply listed."""
    return np.array(json.loads(reply), np.float32).ravel()
