"""The values a manifest holds, and their canonical bytes. Reading and checking bytes from outside is `reading`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core import digests, errors, tensors
from skerry.core.confidence import Calibration, Outputs
from skerry.core.preprocessing import Step
from skerry.core.tasks import Classification, Task

SCHEMA = 1
_NO_CLASSES: Task = Classification()
_NEUTRAL = Calibration()


@dataclass(frozen=True, slots=True)
class File:
    """`name` is one path segment beside the manifest."""

    name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a node must be able to load. `opsets`: operator domain ("" is ONNX's own) -> version."""

    ir_version: int
    opsets: Mapping[str, int]
    min_onnxruntime: str = ""
    format: str = "onnx"

    def fields(self) -> dict[str, Any]:
        """As the manifest and ModelVersion.spec write it."""
        return {
            "format": self.format,
            "irVersion": self.ir_version,
            "opsets": dict(self.opsets),
            "minOnnxruntime": self.min_onnxruntime,
        }


@dataclass(frozen=True, slots=True)
class State:
    """A hidden state: the network's `input` of the next step is its `output` of this one; zeros at the start.
    `shape` is of one sequence, without the batch axis."""

    input: str
    output: str
    shape: tuple[int, ...]
    datatype: str = "FP32"


@dataclass(frozen=True, slots=True)
class Layer:
    """A node of the network that has weights, and their size."""

    name: str
    op: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Quantization:
    """What compression came to. `scheme` "float32": nothing is quantized."""

    scheme: str = "float32"
    int8_nodes: tuple[Layer, ...] = ()
    float_nodes: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class Golden:
    """How close the self-test must come, and how slow one row may be (0: not asked)."""

    tolerance_abs: float = 1e-3
    latency_cap_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """`inputs` and `outputs` are what callers see, `network_inputs` what the network takes after preprocessing (of the
    first input); all without the batch axis, -1 is a free axis. `files` has "model" and usually "golden"."""

    model: str
    runtime: Runtime
    files: Mapping[str, File]
    inputs: tuple[tensors.Spec, ...]
    network_inputs: tuple[tensors.Spec, ...]
    outputs: tuple[tensors.Spec, ...]
    preprocessing: tuple[Step, ...] = ()
    task: Task = _NO_CLASSES
    network: Mapping[str, Any] = field(default_factory=dict)
    state: tuple[State, ...] = ()
    confidence: Calibration = _NEUTRAL
    quantization: Quantization = Quantization()
    golden: Golden = Golden()
    dataset: str = ""
    parents: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.task.class_names

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        return _canonical(_document(self))

    @property
    def digest(self) -> str:
        return digest_of(self.to_json())

    @property
    def window(self) -> int:
        """How many steps the windows have that a streaming network was trained on; 0: that is not said. It stands in
        `network`, where agents of earlier releases read past it: a field of its own would make them refuse the
        version."""
        return int(self.network.get("window", 0))


def digest_of(data: bytes) -> str:
    """The version's digest: that of the manifest's bytes."""
    return digests.sha256(data)


def file_of(name: str, data: bytes) -> File:
    return File(name, digests.sha256(data), len(data))


def _canonical(document: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (ValueError, TypeError) as exc:
        raise errors.InputError(f"the manifest holds what JSON cannot say: {exc}") from exc


def _document(manifest: Manifest) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "model": manifest.model,
        "task": manifest.task.name,
        "network": dict(manifest.network),
        "runtime": manifest.runtime.fields(),
        "files": {
            role: {"name": file.name, "digest": file.digest, "sizeBytes": file.size_bytes}
            for role, file in manifest.files.items()
        },
        "inputs": [_spec_fields(spec) for spec in manifest.inputs],
        "networkInputs": [_spec_fields(spec) for spec in manifest.network_inputs],
        "outputs": [_spec_fields(spec) for spec in manifest.outputs],
        "preprocessing": [step.fields() for step in manifest.preprocessing],
        **manifest.task.to_json(),
        "state": [
            {"input": state.input, "output": state.output, "shape": list(state.shape), "datatype": state.datatype}
            for state in manifest.state
        ]
        or None,
        "confidence": _confidence_fields(manifest.confidence),
        "quantization": {
            "scheme": manifest.quantization.scheme,
            "int8Nodes": [_layer_fields(layer) for layer in manifest.quantization.int8_nodes],
            "floatNodes": [_layer_fields(layer) for layer in manifest.quantization.float_nodes],
        },
        "golden": {"toleranceAbs": manifest.golden.tolerance_abs, "latencyCapMs": manifest.golden.latency_cap_ms},
        "dataset": manifest.dataset,
        "parents": list(manifest.parents),
        "metrics": dict(manifest.metrics),
    }


def _confidence_fields(confidence: Calibration) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "temperature": confidence.temperature,
        "threshold": confidence.threshold,
        "reference": list(confidence.reference),
    }
    if confidence.outputs != Outputs.LOGITS:  # left out otherwise: manifests of earlier releases keep their digests
        fields["outputs"] = str(confidence.outputs)
    if confidence.widths:
        fields["widths"], fields["bound"] = list(confidence.widths), confidence.bound
    return fields


def _spec_fields(spec: tensors.Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _layer_fields(layer: Layer) -> dict[str, Any]:
    return {"name": layer.name, "op": layer.op, "bytes": layer.bytes}
