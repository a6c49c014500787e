"""Feedback about a forecast, from the call to what the node then knows: the truth comes when the horizon is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import agent_cascade
import agent_fakes
import pytest
from agent_forecaster import HOUR_MS, LOAD, NARROW, forecaster

from skerry.adapters.telemetry.metrics import Metrics
from skerry.agent import feedback_access, feedback_servicer, feedback_tokens
from skerry.agent.capture import capture_queue
from skerry.core import feedback
from skerry.proto import edge_pb2, fleet_pb2
from skerry.rpc.methods import CallError, Status

RECORDED, NOT_CAPTURED = edge_pb2.FeedbackReply.RECORDED, edge_pb2.FeedbackReply.NOT_CAPTURED
TOKEN_S = 600


@dataclass
class Caller:
    metadata: dict[str, str] = field(default_factory=dict)
    peer_certificate: bytes | None = None
    peer_address: str = "127.0.0.1:7"


class Edge:
    """A forecaster whose answers are kept in a real spool, and the door for their truths. Its time is `now_s`."""

    def __init__(self, node: agent_cascade.Node, folder: Path) -> None:
        self.node, self.now_s = node, 1_800_000_000
        self.spool = agent_fakes.make_spool_thread(folder)
        self.queue = capture_queue.CaptureQueue(self.spool, agent_fakes.SOURCE, flush_s=0.01)
        tokens = feedback_tokens.Tokens(b"k" * feedback.KEY_BYTES, lambda: self.now_s, good_for_s=TOKEN_S)
        node.offer, node.name = self.queue.offer, tokens.name  # type: ignore[method-assign]
        proofs = {feedback.Proof.TOKEN, feedback.Proof.CERTIFICATE}
        self.servicer = feedback_servicer.FeedbackServicer(
            self.queue,
            self.spool,
            node.registry,
            feedback_access.Access(proofs, tokens),
            feedback_access.CallerBudgets(lambda: 0.0),
            node.residuals,
            Metrics(),
        )

    async def ask(self, request_id: str, hour: int) -> str:
        """The token of the answer."""
        stamp = {"skerry_series": "plant-1", "skerry_time": hour * HOUR_MS}
        reply = await self.node.ask(NARROW, id=request_id, parameters=stamp)
        return str(reply.parameters[feedback.PARAMETER])

    async def tell(self, request_id: str, value: float, token: str = "") -> int:
        caller = Caller(peer_certificate=None if token else b"of the site")
        request = edge_pb2.FeedbackRequest(model="digits", request_id=request_id, values=[value], token=token)
        data = await self.servicer.feedback(caller, request.SerializeToString())  # type: ignore[arg-type]
        return int(edge_pb2.FeedbackReply.FromString(data).outcome)

    def pass_s(self, seconds: float) -> None:
        self.now_s, self.node.now_s = self.now_s + round(seconds), self.node.now_s + seconds

    def truths(self) -> int:
        return int(self.node.load.read()[0].truths)


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    made = Edge(await forecaster(tmp_path), tmp_path)
    async with agent_fakes.running(made.queue.run()):
        yield made
    await made.spool.close()


async def test_a_truth_that_comes_after_the_horizon_is_recorded_and_counted_and_makes_its_series_hard(
    edge: Edge,
) -> None:
    token = await edge.ask("q1", 10)
    edge.pass_s(LOAD.horizon_ms / 1000 + TOKEN_S)
    assert await edge.tell("q1", 50.0, token) == RECORDED, "a token waits for the horizon, too"
    assert edge.truths() == 1
    reply = await edge.node.ask(NARROW, id="q2", parameters={"skerry_series": "plant-1", "skerry_time": 11 * HOUR_MS})
    assert float(str(reply.parameters["skerry_confidence"])) == pytest.approx(0.2 ** (45 / 3), abs=1e-6)
    rows = await edge.spool.call(lambda spool: spool.next_batch(10, 1 << 20))
    assert [list(fleet_pb2.Truth.FromString(row.body).values) for row in rows if row.kind == 2] == [[50.0]]

    edge.pass_s(86_400)
    with pytest.raises(CallError, match="days old and was good for") as caught:
        await edge.tell("q1", 5.0, token)
    assert caught.value.status == Status.PERMISSION_DENIED


async def test_a_truth_of_what_nobody_remembers_is_told_and_counted_nowhere(edge: Edge) -> None:
    await edge.ask("q1", 10)
    assert await edge.tell("q7", 50.0) == NOT_CAPTURED
    assert await edge.tell("q1#4", 50.0) == NOT_CAPTURED
    assert edge.truths() == 0 and not edge.node.residuals.knows_sources
    assert await edge.tell("q1", 50.0) == RECORDED and edge.truths() == 1


async def test_what_the_memory_forgot_is_recorded_all_the_same(edge: Edge) -> None:
    """As after a restart: the spool remembers its requests, the memory no answer."""
    token = await edge.ask("q1", 10)
    edge.node.residuals.settle("digits", "q1", feedback_name(token), (5.0,), LOAD.digest)
    assert (await edge.tell("q1", 50.0, token), edge.truths()) == (RECORDED, 1)


async def test_a_truth_told_twice_at_once_counts_once(edge: Edge) -> None:
    token = await edge.ask("q1", 10)
    outcomes = await asyncio.gather(edge.tell("q1", 5.0, token), edge.tell("q1", 5.0, token))
    assert (outcomes, edge.truths()) == ([RECORDED, RECORDED], 1)


def feedback_name(token: str) -> str:
    lifetime = feedback.Lifetime(1_800_000_000, TOKEN_S)
    return feedback.answer_of(b"k" * feedback.KEY_BYTES, token, "digits", "q1", lifetime).hex()
