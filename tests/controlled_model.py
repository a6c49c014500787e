"""The model that a controller has in tests: its description, and the files of its versions."""

from typing import Any

import manifests

from skerry.core import manifest

MODEL = "digits"
WAVES = [{"name": "canary", "size": "1", "soakSeconds": 2}, {"name": "rest", "size": "100%", "soakSeconds": 1}]


def edge_model(dataset: str) -> dict[str, Any]:
    return {
        "classNames": list("0123456789"),
        "network": {"factory": "skerry.nets.cnn:reference", "options": {}},
        "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
        "datasetDigest": dataset,
        "retrain": {"minNewExamples": 600, "cooldownSeconds": 10, "timeoutSeconds": 100},
        "rollout": {
            "fleet": "all",
            "waves": WAVES,
            "analysis": {"minSamples": 100, "harmPermille": 50, "marginPermille": 60},
        },
    }


def candidate(salt: str, dataset: str, **changes: Any) -> tuple[dict[str, bytes], manifest.Manifest]:
    """The files of a version, different by `salt`, and their manifest."""
    contents = {"model.onnx": f"network {salt}".encode(), "golden.npz": f"golden {salt}".encode()}
    named = {name.partition(".")[0]: manifest.file_of(name, data) for name, data in contents.items()}
    made = manifests.digits(files=named, dataset=dataset, **changes)
    return {"manifest.json": made.to_json(), **contents}, made
