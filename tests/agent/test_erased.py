"""What was erased leaves no byte on a node: not in the spool's pages, its write-ahead log, or a damaged one's. It is
not captured again; and what is confirmed is on the disk, also over a restart."""

from pathlib import Path
from typing import Any

import pytest

from skerry.agent import erased
from skerry.agent.capture import capture_queue, captured_row, spool
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import sampling, series_stamp
from skerry.proto import fleet_pb2

MARKER = bytes(range(64, 128))
SUBJECT = "cd" * 32


def row(raw: bytes = MARKER, **changes: Any) -> captured_row.CapturedRow:
    fields: dict[str, Any] = {
        "model": "digits",
        "request_id": "visit#1",
        "digest": "sha256:" + "ab" * 32,
        "kind": sampling.Kind.HARD,
        "inputs": (captured_row.CapturedTensor("x", "UINT8", (64,), raw),),
        "local_logits": (0.5,),
        "confidence": 0.5,
        "route": "local",
        "reason": "Confident",
        "answered_unix_ms": 5,
        "label_map": "",
        "stamp": series_stamp.NONE,
        "answer": "one",
        "subject": SUBJECT,
    }
    return captured_row.CapturedRow(**(fields | changes))


class Node:
    """A spool, the queue before it, and what was erased. `restart` is another process on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.restart()

    def restart(self) -> None:
        self.thread = SpoolThread(self.folder / "spool" / "spool.db", spool.Limits(), lambda: "x")
        self.queue = capture_queue.CaptureQueue(self.thread, captured_row.Source("edge-1", "boot"))
        self.erased = erased.Erased(self.folder / "erasures.pb", "edge-1", self.thread)
        self.queue.erased = lambda: self.erased.rules

    async def capture(self, *rows: captured_row.CapturedRow) -> list[bool]:
        taken = [self.queue.offer(one) for one in rows]
        await self.queue.flush()
        return taken

    def places(self, marker: bytes = MARKER) -> set[str]:
        """Files that hold the marker."""
        return {one.name for one in self.folder.rglob("*") if one.is_file() and marker in one.read_bytes()}


def told(number: int = 1, **what: Any) -> fleet_pb2.DesiredState:
    return fleet_pb2.DesiredState(erasures=[fleet_pb2.Erasure(**what)], erased_up_to=number)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    "what",
    [
        {"node": True},
        {"before_unix_ms": 6},
        {"request": "visit"},
        {"subject": SUBJECT},
        {"node": True, "model": "digits"},
    ],
    ids=lambda what: " ".join(what),
)
async def test_no_file_of_the_node_holds_a_byte_of_it_and_the_rest_stays(node: Node, what: dict[str, Any]) -> None:
    other = row(b"o" * 64, request_id="other", subject="", answered_unix_ms=9, answer="two")
    await node.capture(row(), *([] if "node" in what else [other]))
    assert node.places() == {"spool.db-wal"}
    assert await node.erased.carry_out(told(7, **what))
    assert node.places() == set()
    assert node.places(b"visit#1") == set()  # nor what its caller named it
    assert node.thread.counts.pending == (0 if "node" in what else 1)
    assert node.erased.up_to == 7
    assert await node.capture(row()) == [False]
    assert node.places() == set()


async def test_an_example_is_erased_by_its_id_with_the_truth_about_it(node: Node) -> None:
    await node.capture(row())
    assert await node.thread.call(lambda opened: len(opened.next_batch(9, 9999))) == 1
    (found,) = await node.thread.call(lambda opened: list(opened.next_batch(9, 9999)))
    truth = fleet_pb2.Truth(model="digits", node="edge-1", example_id=found.id, request_id="visit#1", label=1)
    body = truth.SerializeToString(deterministic=True)
    await node.thread.call(lambda opened: opened.add_truths([spool.row(spool.TRUTH, body, found.id)]))
    await node.erased.carry_out(told(example=found.id))
    assert (node.places(), node.thread.counts.pending) == (set(), 0)
    assert await node.thread.call(lambda opened: opened.example_of("digits", "visit#1")) is None


async def test_what_was_uploaded_already_is_written_over_at_once(node: Node) -> None:
    """Deleted rows stayed readable in free pages before."""
    await node.capture(row())
    (found,) = await node.thread.call(lambda opened: list(opened.next_batch(9, 9999)))
    await node.thread.call(lambda opened: opened.settle([found.id], []))
    await node.erased.carry_out(told(before_unix_ms=1))  # means nothing here: the log is emptied all the same
    await node.thread.close()
    assert node.places() == set()


@pytest.mark.parametrize("what", [{"before_unix_ms": 6}, {"subject": SUBJECT}], ids=lambda what: " ".join(what))
async def test_of_what_was_uploaded_the_callers_id_is_forgotten_too(node: Node, what: dict[str, Any]) -> None:
    await node.capture(row(), row(request_id="other", subject="", answered_unix_ms=9, answer="two"))
    found = await node.thread.call(lambda opened: [one.id for one in opened.next_batch(9, 9999)])
    await node.thread.call(lambda opened: opened.settle(found, []))
    await node.erased.carry_out(told(**what))
    assert node.places(b"visit#1") == set()
    assert await node.thread.call(lambda opened: opened.example_of("digits", "other"))


async def test_pages_that_an_earlier_release_freed_are_given_back(node: Node) -> None:
    import contextlib
    import sqlite3

    await node.capture(*(row(MARKER * 200, request_id=f"r{n}", answer=str(n)) for n in range(5)))
    await node.thread.close()
    with contextlib.closing(sqlite3.connect(node.folder / "spool" / "spool.db", isolation_level=None)) as before:
        before.execute("PRAGMA secure_delete=OFF")
        before.execute("DELETE FROM records")
        before.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert node.places() == {"spool.db"}
    node.restart()
    await node.erased.carry_out(told(node=True))
    assert node.places() == set()


async def test_a_damaged_spool_that_was_moved_aside_goes(node: Node) -> None:
    await node.capture(row())
    await node.thread.close()
    (node.folder / "spool" / "spool.db.damaged-x").write_bytes(MARKER)
    node.restart()
    await node.erased.carry_out(told(node=True))
    assert node.places() == set()


async def test_what_waits_in_memory_when_it_is_erased_does_not_reach_the_disk(node: Node) -> None:
    assert node.queue.offer(row())
    await node.erased.carry_out(told(subject=SUBJECT))
    await node.queue.flush()
    assert node.places() == set() and node.thread.counts.captured == 0


async def test_it_is_remembered_without_a_gateway_and_an_end_lets_it_be_captured_again(node: Node) -> None:
    await node.erased.carry_out(told(3, request="visit"))
    await node.thread.close()
    node.restart()
    assert node.erased.up_to == 3
    assert await node.capture(row()) == [False]
    assert not await node.erased.carry_out(told(3, request="visit"))
    assert await node.erased.carry_out(fleet_pb2.DesiredState(erased_up_to=4))
    assert await node.capture(row()) == [True]


async def test_a_disk_that_refuses_confirms_nothing_and_it_is_done_when_it_is_told_again(node: Node) -> None:
    await node.capture(row())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node.thread, "call", _refuses)
        with pytest.raises(OSError, match="full"):
            await node.erased.carry_out(told(3, node=True))
    assert node.erased.up_to == 0 and node.places()
    assert await node.erased.carry_out(told(3, node=True))
    assert node.places() == set()


async def _refuses(use: Any) -> Any:
    raise OSError("full")
