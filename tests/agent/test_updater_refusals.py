"""A version that is damaged, deadly or not what was assigned: refused with its reason, tried no oftener than it may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import pytest
from agent_world import Fetch, Node, Version, bring_up, desired

from skerry.agent.update import ledger, updater, version_store

V1, V2, V3 = Version(1), Version(2), Version(3)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path, Fetch(V1, V2, V3))
    async with agent_fakes.running(made.updater.run()):
        yield made


async def staged(node: Node, version: Version, **fields: object) -> None:
    await node.updater.assign(desired(version, **fields))  # type: ignore[arg-type]
    await agent_fakes.until(lambda: node.target.state == "STAGED")


async def test_a_refused_version_is_tried_once_per_attempt_whatever_is_delivered(tmp_path: Path) -> None:
    fetch = Fetch(V1, V2)
    node = Node(tmp_path, fetch)
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        fetch.outcomes = [updater.Outcome("REFUSED", "model.onnx is not the file that was signed")]
        await node.updater.assign(desired(V2))
        await agent_fakes.until(lambda: node.target.state == "REFUSED")
        for other in (V1, V2, V1, V2):
            await node.updater.assign(desired(other, rollback=True))
            await asyncio.sleep(0.02)
        assert node.target.state == "REFUSED"
        assert "signed" in node.target.reason
        assert fetch.calls.count(2) == 1
    again = Node(tmp_path, fetch, boot=1)
    await again.restore()
    async with agent_fakes.running(again.updater.run()):
        await again.updater.assign(desired(V2))
        await agent_fakes.until(lambda: again.target.state == "REFUSED")
        assert fetch.calls.count(2) == 1
        assert again.serving == 1
        await bring_up(again, V2, 2, attempt=2)


@pytest.mark.parametrize("state", ["REFUSED", "INCOMPATIBLE"])
async def test_the_reason_of_a_refusal_is_reported(node: Node, state: str) -> None:
    node.fetch.outcomes = [updater.Outcome(state, "IR 14 is above 10")]
    await node.updater.assign(desired(V1))
    await agent_fakes.until(lambda: node.target.state == state)
    assert node.target.reason == "IR 14 is above 10"


async def test_a_failed_fetch_is_tried_again_until_it_works(node: Node) -> None:
    node.fetch.outcomes = [updater.Outcome("FETCH_FAILED", f"no route {n}") for n in range(4)]
    await staged(node, V1)
    assert node.fetch.calls == [1] * 5


async def test_a_swap_that_fails_keeps_the_old_version_and_is_not_repeated(node: Node) -> None:
    await bring_up(node, V1, 1)
    node.loader.fails.add(2)
    await staged(node, V2)
    await node.updater.assign(desired(V2, permit=(2, node.ask())))
    await agent_fakes.until(lambda: node.target.state == "SWAP_FAILED")
    assert node.serving == 1
    await node.updater.assign(desired(V2, permit=(3, 999)))
    await asyncio.sleep(0.05)
    assert node.loader.swaps == [1]
    assert node.ledger.highest_permit == 2


async def test_a_swap_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    limits = updater.Limits(max_swap_s=0.1, retry_base_s=0.01)
    node = Node(tmp_path, Fetch(V1, V2), limits)
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        node.loader.hangs.add(2)
        await staged(node, V2)
        await node.updater.assign(desired(V2, permit=(2, node.ask())))
        await agent_fakes.until(lambda: node.target.state == "SWAP_FAILED")
        assert "did not come up" in node.target.reason
        assert node.serving == 1


async def test_a_slot_damaged_between_staging_and_permit_is_fetched_again_not_blamed_on_the_version(node: Node) -> None:
    await bring_up(node, V1, 1)
    await staged(node, V2)
    path = node.state / "models/digits/2/model.onnx"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    await bring_up(node, V2, 2)
    assert node.fetch.calls.count(2) == 2
    assert node.serving == 2


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.npz"])
async def test_a_file_that_is_not_the_assigned_one_never_reaches_a_slot(node: Node, name: str, cut: int) -> None:
    await bring_up(node, V1, 1)
    node.fetch.damage = lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:cut])
    await node.updater.assign(desired(V2))
    await agent_fakes.until(lambda: node.target.state == "REFUSED")
    assert name in node.target.reason
    assert not (node.state / "models/digits/2").exists()
    assert node.serving == 1


async def test_a_malformed_assignment_changes_nothing(node: Node) -> None:
    await bring_up(node, V1, 1)
    bad = desired(V2)
    bad.assignments[0].digest = "sha256:short"
    await node.updater.assign(bad)
    await asyncio.sleep(0.02)
    assert node.serving == 1
    assert node.fetch.calls == [1]
    await bring_up(node, V2, 2)


async def test_a_version_that_kills_the_process_twice_is_refused(tmp_path: Path) -> None:
    node = Node(tmp_path, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
    for _ in range(2):
        ledger.Ledger(tmp_path / "ledger").begin(ledger.Key("digits", V2.digest, "digits-v2", 1))
    again = Node(tmp_path, Fetch(V1, V2), boot=1)
    await again.restore()
    async with agent_fakes.running(again.updater.run()):
        await again.updater.assign(desired(V2))
        await agent_fakes.until(lambda: again.target.state == "SWAP_FAILED")
        assert "died 2 times" in again.target.reason
        assert again.serving == 1


def test_a_version_number_reused_for_other_bytes_is_refused_while_the_first_is_whole(tmp_path: Path) -> None:
    disk = version_store.VersionStore(tmp_path)
    for version in (V1,):
        version.write(folder := disk.stage("digits", 1, token="a"))
        disk.publish(folder, "digits", 1, version.digest)
    forged = Version(1, salt="other")
    forged.write(folder := disk.stage("digits", 1, token="b"))
    with pytest.raises(version_store.errors.IntegrityError, match="never changes"):
        disk.publish(folder, "digits", 1, forged.digest)
    assert disk.find("digits", 1, V1.digest)


@pytest.mark.parametrize("model", ["../x", "", "a/b", ".hidden"])
def test_a_model_name_cannot_leave_the_folder(tmp_path: Path, model: str) -> None:
    with pytest.raises(version_store.errors.InputError):
        version_store.VersionStore(tmp_path).slot(model, 1, V1.digest)
