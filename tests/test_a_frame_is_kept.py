"""A camera's frame of 4 MB on its whole way: an agent's capture, spool and upload, a gateway's listener, the labeler,
and a dataset that holds its bytes."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agent_fakes
import curating
import ingesting
import numpy as np
import pytest

from skerry.adapters.events import Silent
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.agent.capture import capture_queue, sampler, uploader
from skerry.agent.feedback_tokens import NoTokens
from skerry.agent.sync.gateway_client import GatewayClient
from skerry.core import dataset_parts, digests, offload, sampling, tensors
from skerry.core.inference import InferRequest
from skerry.core.tasks import Classification
from skerry.gateway import desired, identity, ingest, listeners, methods, metrics, readings_writer, sessions

SHAPE = (576, 576, 3)  # 3.98 MB in FP32
SPEC: dict[str, Any] = {**curating.SPEC, "input": {"name": "image", "datatype": "FP32", "shape": list(SHAPE)}}


@contextlib.asynccontextmanager
async def gateway(world: curating.World) -> AsyncIterator[str]:
    """As `listeners` serves it: what comes in goes to the storage and the stream of the curator."""
    view, instruments = desired.View(), metrics.Instruments()
    guard = identity.Guard(view)
    readings = readings_writer.ReadingsWriter(MemoryFleetState())
    fleet = sessions.Sessions(
        MemoryObjects(),
        view,
        readings,
        instruments,
        guard=guard,
        events=Silent(),
        clock=lambda: 0,
        report_timeout_s=1.0,
    )
    intake = ingest.Ingest(world.blobs, world.streams, ingesting.Known().rules())
    server = listeners.open_server("h2", methods.build(fleet, intake, instruments, guard, None), 10)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.drain(1.0)


async def test_a_frame_of_4_mb_is_kept_uploaded_labelled_and_found_in_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curating, "SPEC", SPEC)
    world = curating.World()
    spool_thread = agent_fakes.make_spool_thread(tmp_path)
    queue = capture_queue.CaptureQueue(spool_thread, agent_fakes.SOURCE, flush_s=0.01)
    frames = np.random.default_rng(7).random((2, *SHAPE), dtype=np.float32)
    for number, frame in enumerate(frames):
        capture(queue, frame[np.newaxis], f"frame-{number}")
    await queue.flush()
    assert spool_thread.counts.captured == 2
    async with gateway(world) as address:
        link = GatewayClient(address)
        sending = uploader.Uploader(spool_thread, agent_fakes.SOURCE.node, link.upload, random.random)
        async with agent_fakes.running(sending.run()):
            await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
        await link.close()
    assert spool_thread.counts.uploaded == 2
    await spool_thread.close()
    await asyncio.to_thread(world.work)  # it has a loop of its own
    kept = in_datasets(world)
    assert sorted(frame.tobytes() for frame in frames) == sorted(row.tobytes() for row in kept)


def capture(queue: capture_queue.CaptureQueue, frame: Any, request_id: str) -> None:
    sample = sampler.Sampler(queue, lambda: 0.0, lambda: ingesting.NOW_MS, NoTokens(), lambda row, task: None)
    answered = sampler.AnsweredRequest(
        InferRequest("digits", (tensors.Tensor.of("image", frame),), id=request_id),
        ingesting.PUBLISHED,
        np.array([[0.1, 0.2, 0.3]], dtype=np.float32),
        (0.3,),
        0.8,
        offload.Decision(offload.Route.LOCAL, offload.Reason.NO_TEACHER),
        Classification(("zero", "one", "two")),
    )
    sample(answered, sampling.CapturePolicy(hard=1.0), offload.TokenBucket.full(10.0, 10.0, 0.0), 0.0)


def in_datasets(world: curating.World) -> list[Any]:
    manifest = world.dataset_manifest(world.state.published.digest)
    rows = list[Any]()
    for role in ("train", "holdout"):
        for part in manifest.select(role, "captured"):  # type: ignore[arg-type]
            content = world.blobs.read(digests.blob_path(part.digest), max_bytes=dataset_parts.MAX_PART_BYTES)
            rows.extend(dataset_parts.unpack(content, manifest).x)
    return rows
