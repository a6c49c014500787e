"""From a network that was measured to a proposal: the manifest, the files by digest, and `proposals/<run>.json` last.

The trainer holds no key: it names what it built and what it measured; the controller decides, numbers and signs.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, errors, gates, manifest, preprocessing, specs, tensors
from skerry.core.confidence import Calibration
from skerry.core.manifest import Manifest
from skerry.nets import export
from skerry.trainer import compress, inputs
from skerry.trainer.compress import Model

MODEL_FILE, GOLDEN_FILE = "model.onnx", "golden.npz"


def draft(model: specs.EdgeModel, network: specs.Network, compressed: Model, exported: export.Exported) -> Manifest:
    """The manifest without what only measuring can tell. Raises InputError naming the field."""
    steps = inputs.steps_of(model)
    graph = onnx.load_from_string(compressed.data)
    return manifest.check(
        Manifest(
            model=model.name,
            task=model.task,
            network=_network(model, network, exported),
            runtime=manifest.Runtime(
                graph.ir_version, {opset.domain: opset.version for opset in graph.opset_import}, export.MIN_ONNXRUNTIME
            ),
            files={"model": manifest.file_of(MODEL_FILE, compressed.data)},
            inputs=(tensors.Spec(model.input.name, model.input.datatype, _client_shape(model, exported)),),
            network_inputs=(exported.input,),
            outputs=(tensors.Spec(exported.output, "FP32", (model.task.width,)),),
            preprocessing=steps,
            state=tuple(manifest.State(state.input, state.output, (state.size,)) for state in exported.states),
            quantization=manifest.Quantization(
                compressed.scheme, tuple(compressed.int8_nodes), tuple(compressed.float_nodes)
            ),
        )
    )


def described(model: specs.EdgeModel, exported: export.Exported) -> Manifest:
    """As `draft`, of the network in float."""
    assert model.network is not None  # train.train refused otherwise
    return draft(model, model.network, compress.as_float(exported.data), exported)


def complete(
    drafted: Manifest,
    *,
    golden: bytes,
    tolerance_abs: float,
    confidence: Calibration,
    latency_cap_ms: float,
    dataset: str,
    parents: tuple[str, ...],
    metrics: Mapping[str, Any],
) -> Manifest:
    """The whole manifest. Raises InputError naming the field."""
    return manifest.check(
        replace(
            drafted,
            files={**drafted.files, "golden": manifest.file_of(GOLDEN_FILE, golden)},
            confidence=confidence,
            golden=manifest.Golden(tolerance_abs, latency_cap_ms),
            dataset=dataset,
            parents=parents,
            metrics=metrics,
        )
    )


def as_float(version: Manifest, float_model: bytes) -> Manifest:
    """That of the network before it became int8, to ask it as the version is asked; a draft without a golden set.
    Raises InputError."""
    graph = onnx.load_from_string(float_model)
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    return replace(
        version,
        files={"model": manifest.file_of(MODEL_FILE, float_model)},
        runtime=replace(version.runtime, ir_version=graph.ir_version, opsets=opsets),
        quantization=manifest.Quantization(),
    )


def propose(
    blobs: Blobs,
    run: str,
    version: Manifest,
    files: Mapping[str, bytes],
    verdict: gates.Verdict,
    report: Mapping[str, Any],
    float_model: bytes | None = None,
) -> str:
    """Store the files, then the proposal that names them; returns the version's digest. The same run again writes the
    same place. Raises UnavailableError (storage).

    `float_model`: the network as it was trained, before anything became int8 or was pruned. It is kept beside the
    proposal and is no part of the version: no node gets it, and who wants to know what was lost on other rows can ask
    it.

    `report` is for people: {training: {…}, contributorCount, contributors: {node: {…}}, compression: {…} (as
    `core.compression_report` reads it), latencyUs, holdouts: {origin: {n, candidate, baseline, float, perClass,
    perClassFloat}}}, shares 0–1 and null where there is none.
    """
    digest = blob_store.put(blobs, version.to_json())
    stored = {role: blob_store.put(blobs, content) for role, content in files.items()}
    document: dict[str, Any] = {
        "digest": digest,
        "manifest": digest,
        "files": stored,
        "verdict": verdict.to_json(),
        "report": dict(report),
    }
    if float_model is not None:
        document["float"] = blob_store.put(blobs, float_model)
    blobs.write(contract.proposal_path(run), json.dumps(document, sort_keys=True, allow_nan=False).encode())
    return digest


def _network(model: specs.EdgeModel, network: specs.Network, exported: export.Exported) -> dict[str, Any]:
    """How the network was made; of a streaming one with the steps of the windows that it learns from."""
    made = {"factory": network.factory, "options": dict(network.options)}
    return {**made, "window": model.input.shape[0]} if exported.states else made


def _client_shape(model: specs.EdgeModel, exported: export.Exported) -> tuple[int, ...]:
    """The EdgeModel's own: whole windows, as its datasets hold them. Callers of a streaming network send them piece by
    piece, so its first axis is free."""
    if not exported.states:
        return model.input.shape
    whole = (preprocessing.Reshape, preprocessing.Vocabulary)
    if len(model.input.shape) != len(exported.input.shape) or any(isinstance(s, whole) for s in inputs.steps_of(model)):
        raise errors.InputError(
            f"EdgeModel {model.name}: a streaming network needs its time axis where callers send it, and a "
            "preprocessing that treats a piece as the whole: do without a reshape or a vocabulary"
        )
    return (tensors.FREE, *model.input.shape[1:])
