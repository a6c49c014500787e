"""A small valid manifest for tests, and how to alter one as an attacker or a mistake would."""

import json
from collections.abc import Callable
from typing import Any

from skerry.core import confidence, manifest, preprocessing, tensors
from skerry.core.tasks import Classification


def digits(**changes: Any) -> manifest.Manifest:
    """Images of 28×28 bytes to ten logits."""
    fields: dict[str, Any] = {
        "model": "digits",
        "runtime": manifest.Runtime(ir_version=8, opsets={"": 17}, min_onnxruntime="1.20"),
        "files": {
            "model": manifest.file_of("model.onnx", b"network"),
            "golden": manifest.file_of("golden.npz", b"golden"),
        },
        "inputs": (tensors.Spec("image", "UINT8", (28, 28)),),
        "network_inputs": (tensors.Spec("input", "FP32", (1, 28, 28)),),
        "outputs": (tensors.Spec("logits", "FP32", (10,)),),
        "preprocessing": (preprocessing.Affine(1 / 255), preprocessing.Reshape((1, 28, 28))),
        "task": Classification(tuple("0123456789")),
        "confidence": confidence.Calibration(1.2, 0.8, tuple(range(20))),
    }
    return manifest.Manifest(**(fields | changes))


def edited(edit: Callable[[dict[str, Any]], Any]) -> bytes:
    """The bytes of `digits()` after `edit` changed its JSON object."""
    document = json.loads(digits().to_json())
    edit(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
