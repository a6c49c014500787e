"""What the demo sets up before the first request: an imported dataset, an EdgeModel and a fleet, through the same doors
that a user's own network goes through. Digits appear here and in no other part of the product."""

from typing import Any

MODEL, FLEET = "digits", "all"
NODES = ("edge-1", "edge-2", "edge-3")
FAULTS = ("bad-version", "cloud-down", "corrupt", "node-offline")
NO_MORE_RUNS = {"name": MODEL, "spec": {"retrain": {"enabled": False}}}

_NETWORKS = {
    "cnn": {"factory": "skerry.nets.cnn:reference", "options": {"classes": 10}},
    "rnn": {"factory": "skerry.nets.rnn:rows", "options": {"classes": 10, "cell": "gru"}},
}
_TRAINING = {
    "cnn": {"epochs": 16, "learningRatePpm": 3_000, "augment": "generic"},
    "rnn": {
        "epochs": 20,
        "learningRatePpm": 4_000,
        "augment": "generic",
    },
}
_PREPROCESSING = {
    "cnn": [{"op": "affine", "factor": 1 / 255, "offset": 0.0}, {"op": "reshape", "shape": [1, 28, 28]}],
    "rnn": [{"op": "affine", "factor": 1 / 255, "offset": 0.0}],
}


def edge_model(network: str, dataset_digest: str, *, automatic: bool, tolerant: bool) -> dict[str, Any]:
    """EdgeModel.spec. `tolerant` asks for a single wave that is judged only when every node has had its try."""
    spec = {
        "task": "Classification",
        "classNames": [str(digit) for digit in range(10)],
        "network": _NETWORKS[network],
        "teacher": {"factory": "skerry.nets.cnn:large", "options": {"classes": 10}},
        "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
        "preprocessing": _PREPROCESSING[network],
        "offload": {
            "targetRatePermille": 100,
            "budgetPerSecondPermille": 15_000,
            "burst": 30,
            "timeoutMs": 400,
            "explorationPermille": 250,
            "capturePerSecond": 100,
        },
        "retrain": {"minNewExamples": 1_300, "driftMinExamples": 1_000, "cooldownSeconds": 5} | _TRAINING[network],
        "gates": {"minHoldout": 500, "minAccuracyPermille": 940, "marginPermille": 20},
        "rollout": {"fleet": FLEET, "automatic": automatic} | _rollout(tolerant),
    }
    return {"name": MODEL, "spec": spec | ({"datasetDigest": dataset_digest} if dataset_digest else {})}


def _rollout(tolerant: bool) -> dict[str, Any]:
    analysis = {"minSamples": 200, "marginPermille": 60, "harmPermille": 60}
    if tolerant:
        waves = [{"name": "all", "size": "100%", "soakSeconds": 2, "maxFailures": "100%"}]
    else:
        waves = [
            {"name": "canary", "size": "1", "soakSeconds": 5, "maxFailures": "0"},
            {"name": "tenth", "size": "10%", "soakSeconds": 5, "maxFailures": "0"},
            {"name": "rest", "size": "100%", "soakSeconds": 2, "maxFailures": "0"},
        ]
    return {"waves": waves, "analysis": analysis, "judgeTimeoutSeconds": 120}
