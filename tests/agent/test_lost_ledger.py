"""A ledger that is lost beside whole versions: what is there serves, the oldest first, and a person is told."""

import logging
from collections.abc import Callable
from pathlib import Path

import agent_fakes
import pytest
from agent_world import Fetch, Node, Version, bring_up

from skerry.agent.update import ledger

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
