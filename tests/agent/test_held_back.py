"""What was captured before privacy became stricter does not leave any more: it is deleted, and the rest goes on."""

import random
from pathlib import Path

import agent_fakes

from skerry.agent.capture import spool, uploader
from skerry.core import privacy, redaction
from skerry.core.privacy import Keep, Leave, Privacy
from skerry.proto import fleet_pb2

ZERO = redaction.Zero((0,))


class Privacies:
    """Of `digits`; other models are open."""

    def __init__(self, held: Privacy) -> None:
        self.held = held

    @property
    def holds_back(self) -> bool:
        return self.held != privacy.OPEN

    def privacy_of(self, model: str) -> Privacy:
        return self.held if model == "digits" else privacy.OPEN


def example(model: str, number: int, *, has_row: bool = True, redacted: tuple[str, ...] = ()) -> spool.Captured:
    inputs = [fleet_pb2.CapturedTensor(name="x", datatype="UINT8", shape=[1], raw=b"\x07")] if has_row else []
    body = fleet_pb2.Example(model=model, request_id=f"r{number}", inputs=inputs, redacted=redacted)
    return spool.Captured(spool.row(spool.EXAMPLE, body.SerializeToString()), model, f"r{number}")


async def test_rows_that_may_not_leave_any_more_are_deleted_and_all_others_are_sent(tmp_path: Path) -> None:
    cloud, thread = agent_fakes.Cloud(), agent_fakes.make_spool_thread(tmp_path)
    held = Privacies(Privacy(redact=(ZERO,)))
    stays, told = example("digits", 1), example("digits", 1).row.id
    truth = spool.row(spool.TRUTH, fleet_pb2.Truth(model="digits", example_id=told).SerializeToString(), told)
    good = [
        example("digits", 2, redacted=("round[2]", "zero[0]")),
        example("digits", 3, has_row=False),
        example("steel", 4),
    ]
    await thread.call(lambda opened: opened.append([stays, *good]))
    await thread.call(lambda opened: opened.add_truths([truth]))
    made = uploader.Uploader(thread, "edge-1", cloud.send, random.Random(1).random, privacies=held)
    assert await made.step() and cloud.order == [], "what stays is deleted before anything is sent"
    assert await made.step()
    assert cloud.order == [*(one.row.id for one in good), truth.id]
    assert (thread.counts.held_back, thread.counts.uploaded, thread.counts.pending) == (1, 4, 0)
    await thread.close()


async def test_no_truth_of_a_model_leaves_from_which_nothing_may(tmp_path: Path) -> None:
    for held in (Privacy(leave=Leave.TEACHER), Privacy(Keep.NOTHING), privacy.CLOSED):
        cloud, thread = agent_fakes.Cloud(), agent_fakes.make_spool_thread(tmp_path / f"{held.keep}{held.leave}")
        one = example("digits", 1)
        truth = spool.row(
            spool.TRUTH, fleet_pb2.Truth(model="digits", example_id=one.row.id).SerializeToString(), one.row.id
        )
        await thread.call(lambda opened, one=one: opened.append([one]))
        await thread.call(lambda opened, truth=truth: opened.add_truths([truth]))
        made = uploader.Uploader(thread, "edge-1", cloud.send, random.Random(1).random, privacies=Privacies(held))
        assert await made.step()
        assert (cloud.order, thread.counts.held_back, thread.counts.pending) == ([], 2, 0)
        await thread.close()
