"""A streaming network learns from what its nodes see: served in steps, captured as windows, trained on them, judged."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from agent_cascade import Node
from numpy.typing import NDArray
from training_runs import play, proposal, publish, shipped
from training_world import INPUT, MODEL, NAMES, World, windows

from skerry.agent.capture import captured_row
from skerry.agent.update import version_store
from skerry.core import digests, specs, tensors
from skerry.core.contributions import Fleet
from skerry.core.inference import InferRequest
from skerry.core.tasks import Classification
from skerry.curator import examples, labels
from skerry.curator.captured_rows import CapturedRows
from skerry.curator.datasets import Publisher
from skerry.curator.label_task import LabelTask
from skerry.serving.predictor import Context, predict
from skerry.serving.version import Options

NETWORK = {
    "factory": "skerry.nets.rnn:rows",
    "options": {"classes": 3, "features": 4, "hidden": 24, "dense": 24, "cell": "gru", "streaming": True},
}
TASK = LabelTask(MODEL, Classification(NAMES), INPUT)
EXPLORE = specs.OffloadSpec(enabled=False, exploration_permille=1000, capture_per_second=100_000)


async def stream(root: Path, world: World, run: str, x: NDArray[np.float32]) -> list[captured_row.CapturedRow]:
    """What a node captures that serves the version of `run` to one sequence a window, in pieces of one step."""
    version = shipped(world, run)
    folder = root / MODEL / "1"
    folder.mkdir(parents=True)
    for file in version.manifest.files.values():
        (folder / file.name).write_bytes(world.blobs.read(digests.blob_path(file.digest), max_bytes=1 << 24))
    (folder / "manifest.json").write_bytes(version.manifest.to_json())
    node = Node(root, serving=Options(keeps_windows=True), u=0.5)
    await node.loader.swap(version_store.Slot(MODEL, 1, version.manifest.digest, folder))
    node.cascade.set_policy(MODEL, EXPLORE)
    for key, window in enumerate(x, 1):
        for at, step in enumerate(window):
            parameters = {"sequence_id": key, "sequence_start": at == 0, "sequence_end": at == len(window) - 1}
            tensor = tensors.Tensor.of(INPUT.name, step[np.newaxis, np.newaxis])
            request = InferRequest(MODEL, (tensor,), id=f"s{key}.{at}", parameters=parameters)
            reply = await predict(node.cascade, request, Context())
            assert reply.parameters["skerry_window"] == at + 1
    return node.kept


def labelled(kept: list[captured_row.CapturedRow], y: NDArray[np.int64]) -> CapturedRows:
    """As the curator reads the uploads, each with the truth that came for its request."""
    source = captured_row.Source("north", "b" * 32)
    rows = CapturedRows(1 << 24)
    for number, (row, label) in enumerate(zip(kept, y.tolist(), strict=True)):
        data = captured_row.record(source, number, row).row.body
        read = examples.read(data, digests.sha256(data), TASK)
        assert isinstance(read, examples.Captured), read
        truth = labels.with_truth(None, label, "node north", 1_000_000 + number, TASK.label_map)
        assert truth is not None
        rows.add(read, truth)
    return rows


@pytest.mark.long
def test_what_a_node_sees_of_sequences_trains_the_next_version(tmp_path: Path) -> None:
    world = World(
        network=NETWORK,
        retrain={"epochs": 8, "augment": "none", "learningRatePpm": 10_000},
        gates={"minHoldout": 60, "marginPermille": 50, "classMarginPermille": 100},
    )
    base = world.standard()
    assert play(world, "first", base).passed
    stable = publish(world, "first", 1)
    x, y = windows([40, 40, 40], seed=5)

    kept = asyncio.run(stream(tmp_path, world, "first", x))
    assert [row.request_id for row in kept] == [f"s{key}.19" for key in range(1, 121)]
    np.testing.assert_array_equal(
        [np.frombuffer(row.inputs[0].raw, dtype="<f4").reshape(20, 4) for row in kept], x, "bit for bit"
    )
    captured = labelled(kept, y)
    published = Publisher(world.blobs, TASK).publish(captured.rows, captured.left_out, base, Fleet(1))
    assert published is not None and published.captured == 120

    verdict = play(world, "second", published.digest, baseVersion=stable)
    report = proposal(world, "second")["report"]
    held = report["holdouts"]["captured"]["n"]
    assert report["training"]["trainedOn"] == {"imported": 180, "captured": 120 - held} and held > 10
    assert report["holdouts"]["captured"]["baseline"] is not None
    assert verdict is not None and verdict.passed, verdict.reason
    made = shipped(world, "second").manifest
    assert (made.window, made.inputs[0].shape, len(made.state)) == (20, (-1, 4), 2)
