"""The agent as it is put together: steps of a sequence end as a window on the disk, with the truth that came later."""

import asyncio
from pathlib import Path

import models
import numpy as np
import streaming_models
from plane import FakeCall

from skerry.agent import settings, wiring
from skerry.agent.update import version_store
from skerry.core import feedback, manifest, specs
from skerry.core.inference import InferRequest
from skerry.proto import edge_pb2, fleet_pb2
from skerry.serving.predictor import Context, predict

GIVEN = {
    "SKERRY_NODE": "edge-1",
    "SKERRY_TRUST_ROOT": "/r",
    "SKERRY_GATEWAY": "h:1",
    "SKERRY_REPOSITORY_URL": "http://h",
}


async def test_a_window_and_its_truth_reach_the_spool(tmp_path: Path) -> None:
    serving = wiring.open_serving(settings.read(GIVEN | {"SKERRY_STATE": str(tmp_path / "state")}))
    folder = streaming_models.write_pieces(tmp_path, "press", 1, window=3)
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await serving.loader.swap(version_store.Slot("press", 1, digest, folder))
    serving.cascade.set_policy("press", specs.OffloadSpec(exploration_permille=1000))
    steps = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    for at, step in enumerate(steps):
        parameters = {"sequence_id": "belt 1", "sequence_start": at == 0}
        request = InferRequest("press", (models.tensor([step]),), id=f"belt.{at}", parameters=parameters)
        reply = await predict(serving.cascade, request, Context())
    assert reply.parameters["skerry_window"] == 3
    told = edge_pb2.FeedbackRequest(
        model="press", request_id="belt.2", label=1, token=str(reply.parameters[feedback.PARAMETER])
    )
    telling = asyncio.create_task(serving.feedback.feedback(FakeCall(), told.SerializeToString()))
    await asyncio.sleep(0)
    await serving.capture_queue.flush()
    assert edge_pb2.FeedbackReply.FromString(await telling).outcome == edge_pb2.FeedbackReply.RECORDED
    records = await serving.spool_thread.call(lambda spool: spool.next_batch(8, 1 << 20))
    example, truth = fleet_pb2.Example.FromString(records[0].body), fleet_pb2.Truth.FromString(records[1].body)
    assert (truth.example_id, truth.label, len(records)) == (records[0].id, 1, 2)
    assert (example.request_id, example.digest, example.kind) == ("belt.2", digest, fleet_pb2.EXPLORATION)
    (window,) = example.inputs
    assert (window.name, window.datatype, list(window.shape), window.raw) == ("x", "FP32", [3, 4], steps.tobytes())
    await serving.spool_thread.close()
