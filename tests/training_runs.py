"""Whole runs of the training cycle in a small world, and what came of them."""

import json
from typing import Any

from training_world import MODEL, World

from skerry.adapters import blobs as blob_store
from skerry.core import gates, manifest, writers
from skerry.trainer import cycle, main
from skerry.trainer.shipped import Shipped
from skerry.trainer.train import SoftLabeler


def proposal(world: World, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.blobs.read(f"proposals/{run}.json", max_bytes=1 << 20))
    return found


def play(world: World, run: str, dataset: str, labeler: SoftLabeler | None = None, **more: Any) -> gates.Verdict:
    world.ask(run, dataset, **more)
    return cycle.run(main.resolve(world.blobs, run), world.blobs, labeler)


def publish(world: World, run: str, counter: int) -> str:
    """What the controller makes of a proposal that passed."""
    name = f"{MODEL}-v{counter}"
    body = {"model": MODEL, "version": counter, "digest": proposal(world, run)["digest"], "targetPath": "retrained/x"}
    world.objects.create("ModelVersion", name, body, manager=writers.CONTROLLER)
    world.objects.patch("EdgeModel", MODEL, manager=writers.CONTROLLER, status={"stableVersion": name})
    return name


def shipped(world: World, run: str) -> Shipped:
    made = manifest.from_json(blob_store.fetch(world.blobs, proposal(world, run)["digest"], manifest.MAX_BYTES))
    return Shipped(made, blob_store.fetch(world.blobs, made.files["model"].digest, 1 << 20))
