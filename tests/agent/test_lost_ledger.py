"""A ledger that is lost beside whole versions: what is there serves, the oldest first, and a person is told."""

import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import agent_fakes
import pytest
from agent_world import Fetch, Node, Version, bring_up

from skerry.agent.update import ledger, version_store

V1, V2, V3 = Version(1), Version(2), Version(3)

LOSSES = {
    "zero bytes": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "zeros, as some file systems leave it": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


async def updated(state: Path) -> None:
    """Version 1 served, then version 2."""
    node = Node(state, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        for number, version in enumerate((V1, V2), 1):
            await bring_up(node, version, number)


async def test_a_folder_that_somebody_laid_beside_the_models_hinders_nothing(tmp_path: Path) -> None:
    await updated(tmp_path)
    node = Node(tmp_path, Fetch())
    (slot, _) = node.versions.whole_slots()
    shutil.copytree(slot.folder, slot.folder.parent.parent / "a copy of mine" / "1")
    assert [found.version for found in node.versions.whole_slots()] == [1, 2]


async def test_an_error_of_whoever_goes_through_the_slots_is_no_unreadable_slot(tmp_path: Path) -> None:
    await updated(tmp_path)
    slots = Node(tmp_path, Fetch()).versions.whole_slots()
    next(slots)
    assert isinstance(slots, Generator)
    with pytest.raises(OSError, match="of the caller"):
        slots.throw(OSError("of the caller"))


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
async def test_what_has_surely_served_serves_again_and_it_is_said(
    tmp_path: Path, lose: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    await updated(tmp_path)
    lose(tmp_path / "ledger")
    with caplog.at_level(logging.ERROR):
        again = Node(tmp_path, Fetch())
        await again.restore()
    assert again.serving == 1
    said = [record.fields["message"] for record in caplog.records if record.message == "ledger_recovered"]  # type: ignore[attr-defined]
    assert len(said) == 1 and "oldest on the disk" in said[0]
    assert ledger.Ledger(tmp_path / "ledger").pointers("digits").active == V1.pointer, "and is remembered"


async def test_a_damaged_oldest_version_is_passed_over(tmp_path: Path) -> None:
    await updated(tmp_path)
    (tmp_path / "ledger").write_bytes(b"")
    (tmp_path / "models/digits/1/model.onnx").write_bytes(b"?")
    again = Node(tmp_path, Fetch())
    await again.restore()
    assert again.serving == 2


async def test_the_cloud_brings_a_recovered_node_to_the_version_that_it_wants(tmp_path: Path) -> None:
    await updated(tmp_path)
    (tmp_path / "ledger").write_bytes(b"")
    again = Node(tmp_path, Fetch(V2), boot=1)
    await again.restore()
    async with agent_fakes.running(again.updater.run()):
        await bring_up(again, V2, 9)
    assert (again.serving, again.fetch.calls) == (2, []), "it is on the disk already"


async def test_a_version_that_was_only_staged_is_not_served_for_a_whole_ledger(tmp_path: Path) -> None:
    """It waits for its permit."""
    node = Node(tmp_path, Fetch())
    node.ledger.raise_epoch(1)
    folder = node.versions.stage("digits", 3, token="t")
    V3.write(folder)
    node.versions.publish(folder, "digits", 3, V3.digest)
    again = Node(tmp_path, Fetch())
    await again.restore()
    assert again.ledger.models() == []


@pytest.fixture
def two_models(tmp_path: Path) -> Path:
    """Two models on the disk, and a ledger of which the line that says so, and half of the last one, is damaged."""
    node = Node(tmp_path, Fetch())
    for model in ("digits", "letters"):
        folder = node.versions.stage(model, 1, token="t")
        V1.write(folder)
        node.versions.publish(folder, model, 1, V1.digest)
    node.ledger.raise_epoch(4)
    node.ledger.raise_epoch(5)
    path = tmp_path / "ledger"
    path.write_bytes(path.read_bytes()[:-3])
    return tmp_path


BOTH = {"digits": V1.pointer, "letters": V1.pointer}


async def test_a_process_killed_before_it_has_recovered_leaves_it_to_the_next(two_models: Path) -> None:
    ledger.Ledger(two_models / "ledger")
    again = Node(two_models, Fetch())
    await again.restore()
    assert (again.loader.loaded, again.ledger.epoch) == (BOTH, 4)


class Killed(BaseException):
    """As by SIGKILL: nobody tidies up."""


def kills(fsyncs: int) -> Callable[[int], None]:
    """An fsync that ends the process after so many."""
    left = iter(range(fsyncs))

    def fsync(_: int) -> None:
        if next(left, None) is None:
            raise Killed

    return fsync


async def test_a_process_killed_at_any_write_while_it_recovers_loses_no_model(
    two_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, path = (two_models / "ledger").read_bytes(), two_models / "ledger"
    deaths = 0
    for fsyncs in range(50):
        path.write_bytes(before)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", kills(fsyncs))
            try:
                await Node(two_models, Fetch()).restore()
                break
            except Killed:
                deaths += 1
        again = Node(two_models, Fetch())
        await again.restore()
        assert (again.loader.loaded, again.ledger.epoch) == (BOTH, 4), f"killed at fsync {fsyncs}"
    assert 2 < deaths < 50


def full(_: int) -> None:
    raise OSError(28, "No space left on device")


async def test_on_a_full_disk_what_was_found_serves_and_is_found_again_at_the_next_start(
    two_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(two_models, Fetch())
    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr(os, "fsync", full)
        await node.restore()
    assert node.loader.loaded == BOTH
    assert "ledger_not_recovered" in [record.message for record in caplog.records]
    node.ledger.raise_epoch(6)  # there is room again
    again = Node(two_models, Fetch())
    assert (again.ledger.is_whole, again.ledger.epoch) == (False, 6)
    await again.restore()
    assert again.loader.loaded == BOTH


async def test_a_lost_ledger_that_was_not_recovered_does_not_pass_for_whole_with_its_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await updated(tmp_path)
    (tmp_path / "ledger").unlink()
    node = Node(tmp_path, Fetch())
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        await node.restore()
    node.ledger.raise_epoch(6)
    again = Node(tmp_path, Fetch())
    await again.restore()
    assert (node.serving, again.serving, again.ledger.epoch) == (1, 1, 6)


async def test_a_recovered_ledger_is_whole(two_models: Path) -> None:
    await Node(two_models, Fetch()).restore()
    assert ledger.Ledger(two_models / "ledger").is_whole


async def test_a_slot_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await updated(tmp_path)
    (tmp_path / "ledger").write_bytes(b"")
    digest_of = version_store._digest

    def failing(path: Path) -> str:
        if path.parent.name == "1":
            raise OSError(5, "Input/output error")
        return digest_of(path)

    monkeypatch.setattr(version_store, "_digest", failing)
    again = Node(tmp_path, Fetch())
    await again.restore()
    assert again.serving == 2


def unreadable(self: Path, pattern: str) -> Iterator[Path]:
    raise OSError(5, "Input/output error")


async def test_slots_that_cannot_be_listed_end_no_agent_and_are_found_at_the_next_start(
    two_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr(Path, "glob", unreadable)
        node = Node(two_models, Fetch())
        await node.restore()
    assert "ledger_not_recovered" in [record.message for record in caplog.records]
    node.ledger.raise_epoch(6)
    again = Node(two_models, Fetch())
    await again.restore()
    assert (again.loader.loaded, again.ledger.epoch) == (BOTH, 6)
