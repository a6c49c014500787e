"""The models of the bench are versions as skerry's servers load them, and every server gets the same requests."""

import asyncio
from pathlib import Path

import numpy as np

from bench import models
from skerry.adapters.telemetry import metrics
from skerry.proto import open_inference_pb2 as pb
from skerry.serving.metrics import ServingMetrics
from skerry.serving.registry import Registry
from skerry.serving.version import Options


async def test_models_that_are_not_there_yet_are_made_and_served(tmp_path: Path) -> None:
    made = await asyncio.to_thread(models.load, tmp_path)
    registry = Registry(Options(), ServingMetrics(metrics.Metrics()))
    for name, model in made.items():
        await registry.swap(name, 1, tmp_path / name / "1")
        assert model.logits.shape[0] == models.BODIES
    again = await asyncio.to_thread(models.load, tmp_path)
    for name, model in made.items():
        np.testing.assert_array_equal(again[name].inputs, model.inputs)
        requests = [pb.ModelInferRequest.FromString(body) for body in models.oip_requests(model)]
        assert len({request.id for request in requests}) == models.BODIES
        assert len({request.raw_input_contents[0] for request in requests}) == models.BODIES
