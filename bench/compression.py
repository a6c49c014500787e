"""The reference CNN on 10,000 digits: what a run ships, how small, how good, at what cost.

    SKERRY_DATA=DIR python -m bench.compression [--seeds 0,1,2] [--epochs N]

DIR holds mnist10k_npm.npz (x [10000, 28, 28] uint8, y); 8,000 digits to train on, 2,000 that only judge. The trainer's
whole cycle, without a teacher; N as an EdgeModel has it that says nothing.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, dataset_parts, datasets, specs
from skerry.core.tasks import Classification
from skerry.trainer import cycle

FILE, HELD = "mnist10k_npm.npz", 2000
TASK = Classification(tuple("0123456789"))
INPUT = datasets.Input("image", "UINT8", (28, 28))


def model(epochs: int) -> specs.EdgeModel:
    spec: dict[str, Any] = {
        "classNames": list(TASK.class_names),
        "input": {"name": INPUT.name, "datatype": INPUT.datatype, "shape": list(INPUT.shape)},
        "network": {"factory": "skerry.nets.cnn:reference", "options": {"classes": 10}},
        "preprocessing": [{"op": "affine", "factor": 1 / 255}, {"op": "reshape", "shape": [1, 28, 28]}],
        "retrain": {"epochs": epochs},
    }
    return specs.parse_edge_model("digits", spec)


def stored(blobs: MemoryBlobs) -> str:
    """The dataset's digest."""
    with np.load(Path(os.environ["SKERRY_DATA"]) / FILE) as found:
        x, y = found["x"].astype(np.uint8), found["y"].astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    roles: tuple[tuple[datasets.Role, Any, int], ...] = (("holdout", order[:HELD], 0), ("train", order[HELD:], HELD))
    parts = [
        dataset_store.write_part(blobs, role, "imported", dataset_parts.imported(x[rows], y[rows], TASK, first=first))
        for role, rows, first in roles
    ]
    return dataset_store.write_manifest(blobs, datasets.DatasetManifest("digits", TASK, INPUT, tuple(parts)))


def run(seed: int, epochs: int) -> dict[str, Any]:
    blobs, described = MemoryBlobs(), model(epochs)
    retrain = specs.parse_retrain({"epochs": epochs, "seed": seed})
    digest, began = stored(blobs), time.process_time()
    verdict = cycle.run(cycle.ResolvedRun("run", described, retrain, digest, None), blobs, None)
    assert verdict is not None
    proposal = json.loads(blobs.read(contract.proposal_path("run"), max_bytes=contract.MAX_PROPOSAL_BYTES))
    report = proposal["report"]
    return {
        "seed": seed,
        "verdict": verdict.outcome.value,
        "accuracy": report["holdouts"]["imported"]["candidate"],
        "kib": round(report["compression"]["networkBytes"] / 1024, 1),
        "wireKib": round(report["compression"]["wireBytes"] / 1024, 1),
        "cpuSeconds": round(time.process_time() - began, 1),
        "compression": report["compression"],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--seeds", default="0,1,2")
    arguments.add_argument("--epochs", type=int, default=specs.RetrainSpec().epochs)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    for seed in given.seeds.split(","):
        print(json.dumps(run(int(seed), given.epochs)), flush=True)


if __name__ == "__main__":
    main()
