"""Real digits for the cluster under test: an EdgeModel that trains in seconds, its dataset, its teacher, and what the
cameras show. The teacher is made on this machine while the cluster is being installed."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drifting_cameras
import kube_cameras
import numpy as np

from skerry.cli.demo import digits

MODEL = "digits"
_TRAIN, _HOLDOUT, _CLEAN, _DRIFTED = 1200, 900, 300, 1100
_TEACH_S = 240


def edge_model(cloud_node: str) -> dict[str, Any]:
    """EdgeModel as `skerry models apply` takes it; nothing starts by itself until a test lets it."""
    network = {"factory": "skerry.nets.cnn:reference", "options": {"classes": 10}}
    template = {
        "nodeSelector": {"kubernetes.io/hostname": cloud_node},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
    }
    spec = {
        "classNames": [str(digit) for digit in range(10)],
        "network": network,
        "teacher": network,
        "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
        "preprocessing": [{"op": "affine", "factor": 1 / 255, "offset": 0.0}, {"op": "reshape", "shape": [1, 28, 28]}],
        "offload": {"explorationPermille": 50, "capturePerSecond": 100, "burst": 30, "timeoutMs": 400},
        "retrain": {
            "enabled": False, "epochs": 3, "augment": "none", "minNewExamples": 250, "driftMinExamples": 250,
            "cooldownSeconds": 1, "learningRatePpm": 3000, "template": template,
        },
        "gates": {
            "minHoldout": 300, "minAccuracyPermille": 600, "marginPermille": 200, "classMarginPermille": 500,
            "maxInt8LossPermille": 100,
        },
        "rollout": {
            "fleet": "all",
            "waves": [
                {"name": "canary", "size": "1", "soakSeconds": 4},
                # One node may be all of a wave here: its absence must not hold the others.
                {"name": "rest", "size": "100%", "soakSeconds": 1, "minReachablePercent": 0},
            ],
            "analysis": {"required": False},
        },
    }  # fmt: skip
    return {"name": MODEL, "spec": spec}


class Digits:
    """`dataset` is the content of digits.npz, `images` what the cameras show (scenes clean and drift)."""

    def __init__(self) -> None:
        data = digits.load()
        x = np.concatenate([data.train.x[:_TRAIN], data.holdout.x[:_HOLDOUT]])
        y = np.concatenate([data.train.y[:_TRAIN], data.holdout.y[:_HOLDOUT]])
        held = io.BytesIO()
        np.savez_compressed(held, x=x, y=y, holdout=np.arange(len(x)) >= _TRAIN)
        self.dataset = held.getvalue()
        # So many that what is hard does not run out: a run whose verdict stays open is followed by one on more rows.
        shown = np.concatenate([data.train.x[_TRAIN:], data.clean.x])
        clean, seen = shown[:_CLEAN], shown[_CLEAN : _CLEAN + _DRIFTED]
        drifted = drifting_cameras.drift(seen, np.random.default_rng(3), share=1.0)
        self.images = kube_cameras.scenes({"clean": clean, "drift": drifted})


class Teaching:
    """A teacher in the making, by the commands that a person has on a machine of his own."""

    def __init__(self, data: Digits, folder: Path) -> None:
        self._out = folder / "teacher"
        (folder / "blobs").mkdir()
        places = {"OBJECTS": f"sqlite:///{folder / 'objects.db'}", "BLOBS": f"file://{folder / 'blobs'}"}
        places["REPOSITORY"] = f"file://{folder / 'repository'}"
        environment = {**os.environ, **{f"SKERRY_{key}": url for key, url in places.items()}, "OMP_NUM_THREADS": "1"}
        (folder / "digits.json").write_text(json.dumps(edge_model("")))
        (folder / "digits.npz").write_bytes(data.dataset)

        def command(*words: str) -> list[str]:
            return [sys.executable, "-m", *words]

        for words in (("models", "apply", "digits.json"), ("datasets", "import", "digits.npz", "--model", MODEL)):
            skerry = command("skerry.cli.main", *words)
            subprocess.run(skerry, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
        teach = command("skerry.trainer.teach", "--model", MODEL, "--out", str(self._out))
        self._process = subprocess.Popen(
            teach, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def archive(self) -> bytes:
        """The teacher's folder as tar, once it is made."""
        assert self._process.wait(_TEACH_S) == 0, "the teacher could not be trained"
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as tar:
            tar.add(self._out, arcname=".")
        return held.getvalue()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def teaching(data: Digits) -> Iterator[Teaching]:
    """For the length of the block; begins at once."""
    with tempfile.TemporaryDirectory() as folder:
        made = Teaching(data, Path(folder))
        try:
            yield made
        finally:
            made.end()
