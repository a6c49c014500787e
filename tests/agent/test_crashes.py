"""The crash matrix: whatever happens at whatever step of an update, the node has a whole version to serve, and the
update can still be finished."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import agent_fakes
import agent_world
import pytest
from agent_world import Fetch, Node, Version, bring_up, desired

from skerry.agent.update import ledger, version_store

V1, V2 = Version(1), Version(2)
VICTIM = Path(agent_world.__file__).parent / "agent_victim.py"

# Every call that changes anything, in the order in which an update makes them.
STEPS = [
    "skerry.agent.update.version_store:VersionStore.prune",
    "skerry.agent.update.version_store:VersionStore.stage",
    "agent_world:Version.write",
    "agent_world:Fetch.__call__",
    "skerry.agent.update.version_store:check",
    "skerry.agent.update.version_store:_sync_file",
    "skerry.agent.update.version_store:VersionStore._make_room",
    "pathlib:Path.rename",
    "skerry.agent.update.version_store:VersionStore.publish",
    "skerry.agent.update.version_store:VersionStore.discard",
    "skerry.agent.update.ledger:Ledger.use_permit",
    "skerry.agent.update.ledger:Ledger.begin",
    "agent_world:Loader.swap",
    "skerry.agent.update.ledger:Ledger.point",
    "skerry.agent.update.ledger:Ledger._append",
    "skerry.agent.update.version_store:VersionStore.remove",
    "os:fsync",
]


async def with_version_one(state: Path) -> None:
    node = Node(state, Fetch(V1))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)


async def serves_and_can_finish(state: Path, *, boot: int = 5) -> None:
    """After whatever happened: a cold start serves a whole version, and the update goes through."""
    node = Node(state, Fetch(V1, V2), boot=boot)
    await node.restore()
    assert node.serving in (1, 2)
    version_store.check(node.versions.slot("digits", node.serving, Version(node.serving).digest))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V2, node.ledger.highest_permit + 1)
    again = Node(state, Fetch(), boot=boot + 1)
    await again.restore()
    assert again.serving == 2


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("where", STEPS)
def test_a_process_killed_at_any_step_leaves_a_version_to_serve(tmp_path: Path, where: str, moment: str) -> None:
    asyncio.run(with_version_one(tmp_path))
    if where == "skerry.agent.update.version_store:VersionStore.remove":
        (tmp_path / "models/digits/77").mkdir()  # something to remove
    victim = subprocess.run([sys.executable, str(VICTIM), str(tmp_path), where, moment], timeout=60, check=False)
    assert victim.returncode == -signal.SIGKILL, "the step was reached"
    asyncio.run(serves_and_can_finish(tmp_path))


def _failing_once(original: Callable[..., object], number: int) -> Callable[..., object]:
    calls: list[int] = []

    def failing(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(number, os.strerror(number))
        return original(*args, **options)

    return failing


DISK_CALLS = [(Path, "mkdir"), (Path, "rename"), (os, "fsync"), (Path, "open")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize(("holder", "name"), DISK_CALLS, ids=[name for _, name in DISK_CALLS])
async def test_a_disk_that_fails_once_at_any_call_delays_the_update_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: object, name: str, number: int
) -> None:
    await with_version_one(tmp_path)
    node = Node(tmp_path, Fetch(V1, V2), boot=1)
    await node.restore()
    async with agent_fakes.running(node.updater.run()):
        monkeypatch.setattr(holder, name, _failing_once(getattr(holder, name), number))
        served = asyncio.ensure_future(_watch(node))
        await bring_up(node, V2, 2)
        served.cancel()
    monkeypatch.undo()
    await serves_and_can_finish(tmp_path)


async def _watch(node: Node) -> None:
    while True:
        assert node.serving in (1, 2)
        await asyncio.sleep(0.001)


async def test_a_disk_that_stays_full_refuses_the_update_and_room_lets_it_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_version_one(tmp_path)
    node = Node(tmp_path, Fetch(V1, V2), boot=1)
    await node.restore()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with agent_fakes.running(node.updater.run()):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "mkdir", full)
            await node.updater.assign(desired(V2))
            await agent_fakes.until(lambda: node.target.state == "FETCH_FAILED")
            assert "No space left" in node.target.reason
            assert node.serving == 1
        await bring_up(node, V2, 2)


def cut(at: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(at * path.stat().st_size)])


def flip(at: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(len(data) - 1, int(at * len(data)))] ^= 0x40
        path.write_bytes(data)

    return change


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = [(f"cut at {share:.0%}", cut(share)) for share in (0, 0.01, 0.5, 0.99)]
DAMAGES += [(f"bit flipped at {share:.0%}", flip(share)) for share in (0, 0.3, 0.7, 1.0)]
DAMAGES += [("zeroed", zero), ("gone", Path.unlink)]


@pytest.mark.parametrize("damage", [change for _, change in DAMAGES], ids=[name for name, _ in DAMAGES])
@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.npz"])
async def test_a_damaged_active_version_is_refused_at_a_cold_start_and_the_last_known_good_serves(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    node = Node(tmp_path, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await bring_up(node, V2, 2)
    damage(tmp_path / "models/digits/2" / name)
    again = Node(tmp_path, Fetch(V1, V2), boot=1)
    await again.restore()
    assert again.serving == 1
    assert ledger.Ledger(tmp_path / "ledger").pointers("digits").active == V1.pointer
    async with agent_fakes.running(again.updater.run()):
        await bring_up(again, V2, 3)


async def test_with_both_slots_damaged_nothing_serves_and_the_next_assignment_heals_it(tmp_path: Path) -> None:
    node = Node(tmp_path, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await bring_up(node, V2, 2)
    for number in (1, 2):
        zero(tmp_path / f"models/digits/{number}/model.onnx")
    again = Node(tmp_path, Fetch(V1, V2), boot=1)
    await again.restore()
    assert again.serving == 0
    async with agent_fakes.running(again.updater.run()):
        await bring_up(again, V2, 3)


async def test_a_version_that_kills_the_process_at_every_start_is_passed_over(tmp_path: Path) -> None:
    node = Node(tmp_path, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await bring_up(node, V2, 2)
    start = ledger.Key("digits", V2.digest, "(start)", 0)
    for _ in range(3):
        ledger.Ledger(tmp_path / "ledger").begin(start)
    again = Node(tmp_path, Fetch(), boot=1)
    await again.restore()
    assert again.serving == 1


async def test_a_cold_start_writes_little_and_asks_nobody(tmp_path: Path) -> None:
    await with_version_one(tmp_path)
    for boot in range(1, 30):
        node = Node(tmp_path, Fetch(), boot=boot)
        await node.restore()
        assert node.serving == 1
        assert node.fetch.calls == []
    assert (tmp_path / "ledger").stat().st_size < 20_000
