"""A simulated agent keeps the rules of a real one: it stages first, swaps once on a permit that answers its own
request, and writes both down."""

import asyncio
import random
from pathlib import Path

import pytest

from bench.scale import ledger, sim_agent
from skerry.agent.membership import Identity
from skerry.proto import fleet_pb2

DIGESTS = ["sha256:" + letter * 64 for letter in "abc"]


@pytest.fixture
def written() -> list[ledger.Entry]:
    return []


@pytest.fixture
def agent(tmp_path: Path, written: list[ledger.Entry]) -> sim_agent.Agent:
    world = sim_agent.World(["127.0.0.1:1"], 10.0, 5.0, (0, 0), (0, 0), written.append, random.Random(1))
    return sim_agent.Agent("edge-00001", world, Identity(tmp_path), 0, None)


def desired(version: int, *, permit: fleet_pb2.Permit | None = None, epoch: int = 1) -> fleet_pb2.DesiredState:
    assignment = fleet_pb2.Assignment(
        model="scale", digest=DIGESTS[version - 1], version=version, target_path=f"imported/scale/{version}",
        rollout="r", attempt=1, permit=permit,
    )  # fmt: skip
    return fleet_pb2.DesiredState(revision=1, epoch=epoch, assignments=[assignment])


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def told(agent: sim_agent.Agent, now_s: float) -> fleet_pb2.ModelReport:
    (model,) = agent.report(now_s).models
    return model


def whats(written: list[ledger.Entry]) -> list[tuple[str, int]]:
    return [(entry.what, entry.number) for entry in written]


async def test_it_stages_asks_and_swaps_once_on_the_answer_to_its_own_request(
    agent: sim_agent.Agent, written: list[ledger.Entry]
) -> None:
    now_s = asyncio.get_running_loop().time()
    await agent.apply(desired(1))
    await settled()
    asking = told(agent, now_s)
    assert asking.target_state == fleet_pb2.STAGED and asking.permit_request > 0 and not written

    await agent.apply(desired(1, permit=fleet_pb2.Permit(number=4, ttl_ms=60_000, request=7, epoch=1)))
    await settled()
    assert whats(written) == [("permit", 4)], "a permit that answers another request was used"

    good = fleet_pb2.Permit(number=5, ttl_ms=60_000, request=asking.permit_request, epoch=1)
    for _ in range(2):
        await agent.apply(desired(1, permit=good))
        await settled()
    assert whats(written)[1:] == [("permit", 5), ("begin", 5), ("end", 5)]
    serving = told(agent, now_s)
    assert (serving.digest, serving.highest_permit, serving.target_state) == (DIGESTS[0], 5, fleet_pb2.SERVING)
    assert agent.report(now_s + 100).readings[0].requests_total > 0


async def test_what_a_deposed_leader_assigns_is_not_taken(agent: sim_agent.Agent) -> None:
    await agent.apply(desired(2, epoch=3))
    await agent.apply(desired(1, epoch=2))
    await settled()
    assert told(agent, 0.0).target_digest == DIGESTS[1]
