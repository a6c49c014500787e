"""Versions come into service only when fetched and permitted; what serves never goes away for a new one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import pytest
from agent_world import Fetch, Node, Version, bring_up, desired

from skerry.agent.sync import node_report
from skerry.agent.update import awake_clock, ledger, updater
from skerry.proto import fleet_pb2

V1, V2, V3 = Version(1), Version(2), Version(3)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path, Fetch(V1, V2, V3))
    async with agent_fakes.running(made.updater.run()):
        yield made


async def staged(node: Node, version: Version, **fields: object) -> None:
    await node.updater.assign(desired(version, **fields))  # type: ignore[arg-type]
    await agent_fakes.until(lambda: node.target.state == "STAGED")


async def test_a_version_is_fetched_then_waits_and_serves_once_permitted(node: Node) -> None:
    await staged(node, V1)
    assert node.serving == 0
    assert (node.state / "models/digits/1/model.onnx").exists()
    await node.updater.assign(desired(V1, permit=(1, node.ask())))
    await agent_fakes.until(lambda: node.target.state == "SERVING")
    assert node.serving == 1
    assert ledger.Ledger(node.state / "ledger").pointers("digits") == ledger.Pointers(V1.pointer)


async def test_the_old_version_stays_as_the_last_known_good_and_older_ones_go(node: Node) -> None:
    for number, version in enumerate((V1, V2, V3), start=1):
        await bring_up(node, version, number)
    assert node.ledger.pointers("digits") == ledger.Pointers(V3.pointer, V2.pointer)
    await agent_fakes.until(lambda: sorted(p.name for p in (node.state / "models/digits").iterdir()) == ["2", "3"])


async def test_going_back_needs_no_network(node: Node) -> None:
    await bring_up(node, V1, 1)
    await bring_up(node, V2, 2)
    calls = list(node.fetch.calls)
    await bring_up(node, V1, 3, rollback=True)
    assert node.fetch.calls == calls
    assert node.loader.swaps == [1, 2, 1]


async def test_an_older_version_without_the_order_to_roll_back_is_not_taken(node: Node) -> None:
    await bring_up(node, V2, 1)
    await node.updater.assign(desired(V1, permit=(2, node.ask())))
    await agent_fakes.until(lambda: node.target.state == "REFUSED")
    assert "no rollback was ordered" in node.target.reason
    await bring_up(node, V1, 3, rollback=True)


async def test_a_permit_is_good_once_even_when_delivered_again_and_late(node: Node) -> None:
    await bring_up(node, V1, 1)
    await staged(node, V2)
    permitted = desired(V2, permit=(5, node.ask()))
    await node.updater.assign(permitted)
    await agent_fakes.until(lambda: node.serving == 2)
    await staged(node, V1, rollback=True)
    request = node.ask()
    for number in (5, 4, 1):
        await node.updater.assign(desired(V1, rollback=True, permit=(number, request)))
        await agent_fakes.until(lambda: "used before" in node.target.reason)
    assert node.serving == 2
    await node.updater.assign(desired(V1, rollback=True, permit=(6, request)))
    await agent_fakes.until(lambda: node.serving == 1)


async def test_a_permit_for_a_request_of_an_earlier_boot_is_not_used(tmp_path: Path) -> None:
    first = Node(tmp_path, Fetch(V1))
    async with agent_fakes.running(first.updater.run()):
        await staged(first, V1)
        request = first.ask()
    second = Node(tmp_path, Fetch(V1), boot=1)
    async with agent_fakes.running(second.updater.run()):
        await second.updater.assign(desired(V1, permit=(1, request)))
        await agent_fakes.until(lambda: "did not make" in second.target.reason)
        assert second.serving == 0


async def test_a_leader_of_the_past_is_not_obeyed_even_after_a_restart(tmp_path: Path) -> None:
    first = Node(tmp_path, Fetch(V1, V2))
    assert await first.updater.assign(desired(V1, epoch=7))
    second = Node(tmp_path, Fetch(V1, V2), boot=1)
    assert not await second.updater.assign(desired(V2, epoch=6))
    assert second.updater.targets == {}


async def test_while_a_swap_runs_the_report_repeats_its_request(node: Node) -> None:
    await bring_up(node, V1, 1)
    node.loader.hangs.add(2)
    await staged(node, V2)
    request = node.ask()
    await node.updater.assign(desired(V2, permit=(2, request)))
    await agent_fakes.until(lambda: node.ledger.highest_permit == 2)
    for later_s in (0.0, 5.0, 50.0, 500.0):
        assert node_report.permit_requests(node.updater.targets, 900, awake_clock.now_s() + later_s) == {
            "digits": request
        }
    assert node.serving == 1
    await agent_fakes.until(lambda: node.ledger.tries(ledger.Key("digits", V2.digest, "digits-v2", 1)) == 1)


async def test_an_asking_report_stays_the_same_however_long_it_waits(node: Node) -> None:
    await staged(node, V1)
    ask = [
        node_report.permit_requests(node.updater.targets, sequence, now_s)["digits"]
        for sequence, now_s in [(1, 0.0), (2, 1.0), (3, 9.9), (4, 10.0), (5, 86_400.0)]
    ]
    assert ask == [1] * 5


async def test_a_permit_that_comes_too_late_is_given_up_for_good_and_another_asked_for(node: Node) -> None:
    await staged(node, V1)
    request = node.ask()
    node.updater.targets["digits"].requests[request] -= 61.0
    await node.updater.assign(desired(V1, permit=(4, request)))
    await agent_fakes.until(lambda: node.ledger.highest_permit == 4)
    assert node.serving == 0
    again = node.ask()
    assert again > request
    await node.updater.assign(desired(V1, permit=(5, again)))
    await agent_fakes.until(lambda: node.serving == 1)


async def test_the_quota_is_what_a_fetch_may_use_and_old_slots_go_first(tmp_path: Path) -> None:
    rooms: list[int] = []

    class Measuring(Fetch):
        async def __call__(self, wanted, folder, max_bytes):  # type: ignore[no-untyped-def]
            rooms.append(max_bytes)
            return await super().__call__(wanted, folder, max_bytes)

    node = Node(tmp_path, Measuring(V1, V2, V3), updater.Limits(quota_bytes=100_000))
    shutil.copytree(tmp_path, tmp_path / "models/stray/7", ignore=lambda *_: ["models"])
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await bring_up(node, V2, 2)
    assert not (tmp_path / "models/stray/7").exists()
    assert 100_000 >= rooms[0] > rooms[1] > 0


async def test_what_is_not_assigned_any_more_serves_on(node: Node) -> None:
    await bring_up(node, V1, 1)
    await node.updater.assign(fleet_pb2.DesiredState(epoch=1))
    await asyncio.sleep(0.02)
    assert node.serving == 1


async def test_something_else_assigned_during_a_fetch_wins(node: Node) -> None:
    release = asyncio.Event()

    class Slow(Fetch):
        async def __call__(self, wanted, folder, max_bytes):  # type: ignore[no-untyped-def]
            if wanted.version == 2:
                await release.wait()
            return await super().__call__(wanted, folder, max_bytes)

    node.updater._fetch = slow = Slow(V1, V2, V3)
    await node.updater.assign(desired(V2))
    await agent_fakes.until(lambda: node.target.state == "FETCHING")
    await node.updater.assign(desired(V3))
    release.set()
    await agent_fakes.until(lambda: node.target.state == "STAGED")
    assert slow.calls == [2, 3]
    await bring_up(node, V3, 1)


async def test_two_models_do_not_wait_for_one_another(tmp_path: Path) -> None:
    class OneHangs(Fetch):
        async def __call__(self, wanted, folder, max_bytes):  # type: ignore[no-untyped-def]
            return (
                updater.Outcome("FETCH_FAILED", "never")
                if wanted.model == "other"
                else await super().__call__(wanted, folder, max_bytes)
            )

    node = Node(tmp_path, OneHangs(V1))
    async with agent_fakes.running(node.updater.run()):
        both = desired(V1)
        other = both.assignments.add()
        other.CopyFrom(both.assignments[0])
        other.model, other.target_path = "other", "retrained/other/1"
        await node.updater.assign(both)
        await agent_fakes.until(lambda: node.target.state == "STAGED")
