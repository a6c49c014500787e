"""`skerry infer` and `skerry feedback` against a real agent process, through its gRPC door."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from dataclasses import replace
from pathlib import Path

import agent_fakes
import agent_process
import grpc
import models
import numpy as np
import pytest
from cli_system import StillSystem

from skerry.cli import system_file
from skerry.core import writers
from skerry.proto import edge_pb2

LABELS = ["low", "middle", "high"]
FORECASTER = {
    "task": "Forecast",
    "forecast": {"target": "volume", "unit": "vehicles/h", "stepSeconds": 3600},
    "input": {"name": "x", "datatype": "FP32", "shape": [2]},
}


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[StillSystem]:
    """An agent that serves `digits` (the linear network) and a state folder that knows it as `edge-1`."""
    async with agent_process.world(tmp_path) as world:
        slot = world.publish(world.make(1))
        await world.start()
        world.gateway.assign(slot)
        await agent_fakes.until(lambda: world.gateway.state_of("digits") == "SERVING", timeout_s=60)
        (tmp_path / "system").mkdir()
        still = StillSystem(tmp_path / "system", agents=[system_file.Agent("edge-1", world.address)])
        still.edge_model(
            "digits", classNames=LABELS, input={"name": "x", "datatype": "FP32", "shape": [models.FEATURES]}
        )
        still.objects.create("EdgeNode", "edge-1", {}, manager=writers.GATEWAY)
        report = {"model": "digits", "digest": slot.digest, "version": 1}
        still.objects.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"models": [report]})
        yield still
        await world.stop()


async def test_a_question_and_its_late_truth(system: StillSystem, tmp_path: Path) -> None:
    row = np.array([0.5, -1.0, 2.0, 0.25], dtype=np.float32)
    np.savez(tmp_path / "one.npz", x=row)
    told = json.loads(
        await asyncio.to_thread(
            system.good, "infer", "digits", "--input", tmp_path / "one.npz", "--id", "q-1", "--json"
        )
    )
    expected = row @ models.weights(1.0)
    assert told["rows"][0]["logits"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert told["rows"][0]["class"] == LABELS[int(expected.argmax())]
    assert (told["id"], told["route"], told["version"]) == ("q-1", "local", "1")
    assert told["digest"].startswith("sha256:")
    assert told["reason"]
    assert 0 < float(told["confidence"]) <= 1

    (tmp_path / "two.json").write_text(json.dumps([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]))
    shown = await asyncio.to_thread(system.good, "infer", "digits", "--input", tmp_path / "two.json")
    assert shown.count("logits") == 2
    assert "route local" in shown

    np.savez(tmp_path / "hard.npz", x=np.zeros(models.FEATURES, dtype=np.float32))  # all classes alike
    asked = ("infer", "digits", "--input", tmp_path / "hard.npz", "--id", "hard")
    answered = await asyncio.to_thread(system.run, *asked, "--print-token")
    token = answered.stdout.strip()
    assert "request id hard" in answered.stderr and len(token) == 44
    assert "feedback token " in await asyncio.to_thread(system.good, *asked)
    recorded = await asyncio.to_thread(system.good, "feedback", "digits", "hard", "high", "--token", token)
    assert recorded == "recorded: request hard is high\n"
    both = [system_file.Agent("edge-0", "127.0.0.1:1"), *system.description.agents]  # nobody listens at the first
    system_file.write(system.folder, replace(system.description, agents=tuple(both)))
    again = ("feedback", "digits", "hard", "high", "--token", token)
    assert await asyncio.to_thread(system.good, *again) == "recorded: request hard is high\n"
    unheard = ("feedback", "digits", "hard#7", "high", "--token", token)
    assert "127.0.0.1:1 did not take the feedback" in await asyncio.to_thread(system.bad, 4, *unheard)
    system_file.write(system.folder, system.description)
    told = ("feedback", "digits", "hard#7", "high", "--token", token)
    assert "was not captured" in await asyncio.to_thread(system.bad, 2, *told)
    other = ("feedback", "digits", "never-asked", "high")
    assert "did not come with the answer" in await asyncio.to_thread(system.bad, 3, *other, "--token", token)
    assert "feedback needs the token" in await asyncio.to_thread(system.bad, 3, *other)

    for words, said in (
        (("infer", "nobody", "--input", tmp_path / "one.npz"), "there is no EdgeModel nobody"),
        (("infer", "digits", "--input", tmp_path / "missing.npz"), "there is no file"),
        (("infer", "digits", "--input", tmp_path / "one.npz", "--node", "edge-9"), "it runs edge-1"),
        (("feedback", "digits", "q-1", "purple"), "those are low, middle, high"),
        (("feedback", "digits", "q-1", "7"), "is not a class"),
        (("feedback", "digits", "q-1", "3210.5", "7"), "the model answers a class"),
        (("feedback", "digits", "q-1", "-3.5", "7"), "the model answers a class"),
        (("feedback", "digits", "q-1", "--tokn=abc", "high"), "No such option"),
    ):
        assert said in await asyncio.to_thread(system.bad, 2, *words)

    np.savez(tmp_path / "wide.npz", x=np.zeros((1, 9), dtype=np.float32))
    await asyncio.to_thread(system.bad, 2, "infer", "digits", "--input", tmp_path / "wide.npz")
    (tmp_path / "text.json").write_text('["a", "b"]')
    await asyncio.to_thread(system.bad, 2, "infer", "digits", "--input", tmp_path / "text.json")


def test_an_agent_that_does_not_answer_is_told_with_its_address(tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()
    still = StillSystem(tmp_path / "system", agents=[system_file.Agent("edge-1", "127.0.0.1:1")])
    still.edge_model("digits", classNames=LABELS, input={"name": "x", "datatype": "FP32", "shape": [2]})
    np.savez(tmp_path / "one.npz", x=np.zeros(2, dtype=np.float32))
    asked = ("infer", "digits", "--input", tmp_path / "one.npz")
    assert "127.0.0.1:1" in still.bad(4, *asked, "--node", "edge-1")
    assert "no agent serves digits yet" in still.bad(4, *asked)
    assert "127.0.0.1:1" in still.bad(4, "feedback", "digits", "q-1", "low")


@contextlib.contextmanager
def _answering(status: grpc.StatusCode) -> Iterator[str]:
    """The address of an agent that answers feedback with RECORDED, or with that status."""

    def feedback(request: bytes, context: grpc.ServicerContext) -> bytes:
        if status is not grpc.StatusCode.OK:
            context.abort(status, "model 'digits' is not served here")
        return edge_pb2.FeedbackReply(outcome=edge_pb2.FeedbackReply.RECORDED).SerializeToString()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    methods = {"Feedback": grpc.unary_unary_rpc_method_handler(feedback)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("skerry.edge.v1.Edge", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_feedback_goes_past_an_agent_that_does_not_serve_the_model_yet(tmp_path: Path) -> None:
    with _answering(grpc.StatusCode.NOT_FOUND) as without, _answering(grpc.StatusCode.OK) as canary:
        agents = [system_file.Agent("edge-1", without), system_file.Agent("edge-2", canary)]
        (tmp_path / "system").mkdir()
        still = StillSystem(tmp_path / "system", agents=agents)
        still.edge_model("digits", classNames=LABELS, input={"name": "x", "datatype": "FP32", "shape": [2]})
        assert still.good("feedback", "digits", "q-1", "low") == "recorded: request q-1 is low\n"
        assert "was not captured" in still.bad(2, "feedback", "digits", "q-1", "low", "--node", "edge-1")
        still.objects.create("EdgeModel", "traffic", FORECASTER, manager=writers.OPERATOR)
        told = still.bad(2, "feedback", "traffic", "q-1", "3210.5", "--node", "edge-1")
        assert "was not captured by any agent" in told and "nothing to compare with what was forecast" in told
