"""Large rows on their way into the spool: the event loop copies and writes nothing of them, and what is too large is
counted and told."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import agent_fakes
import numpy as np
import pytest

from skerry.adapters.telemetry.metrics import Metrics
from skerry.agent import metrics
from skerry.agent.capture import captured_row, sampler, spool
from skerry.agent.capture.capture_queue import CaptureQueue
from skerry.agent.sync import node_report
from skerry.core import contract, tensors

FRAME = 4 << 20


def written_bytes(thread: int | None = None) -> int:
    """By `write` and its kin, of one thread or of the whole process, as the kernel counts."""
    place = "/proc/self" if thread is None else f"/proc/self/task/{thread}"
    return int(dict(line.split(": ") for line in Path(f"{place}/io").read_text().splitlines())["wchar"])


async def test_a_frame_is_written_and_copied_on_another_thread_than_the_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied_by, record = list[int](), captured_row.record

    def noted(*given: Any) -> spool.Captured:
        copied_by.append(threading.get_ident())
        return record(*given)

    monkeypatch.setattr(captured_row, "record", noted)
    spool_thread = agent_fakes.make_spool_thread(tmp_path)
    queue = CaptureQueue(spool_thread, agent_fakes.SOURCE)
    loop_before, all_before = written_bytes(threading.get_native_id()), written_bytes()
    assert queue.offer(agent_fakes.captured_row(1, size=FRAME))
    await queue.flush()
    assert spool_thread.counts.captured == 1
    assert written_bytes(threading.get_native_id()) - loop_before < 4096  # the loop's own wake-ups
    assert written_bytes() - all_before > FRAME
    assert len(copied_by) == 1
    assert copied_by[0] != threading.get_ident()
    await spool_thread.close()


def test_a_large_row_is_cut_out_without_a_copy_and_a_small_one_holds_no_request() -> None:
    frame = np.zeros((1, 256, 256), dtype=np.float32)
    cut = sampler.cut_row(tensors.Tensor.of("x", frame), 0, ())
    assert isinstance(cut.raw, memoryview)
    assert np.shares_memory(np.frombuffer(cut.raw, dtype=np.uint8), frame)
    assert bytes(cut.raw) == frame.tobytes()
    assert isinstance(sampler.cut_row(tensors.Tensor.of("x", frame[:, :2, :2]), 0, ()).raw, bytes)
    two = tensors.Tensor.of("x", np.zeros((2, 256, 256), dtype=np.float32))
    assert isinstance(sampler.cut_row(two, 1, ()).raw, bytes)


async def test_what_is_too_large_is_counted_by_model_told_once_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool_thread = agent_fakes.make_spool_thread(tmp_path)
    queue = CaptureQueue(spool_thread, agent_fakes.SOURCE)
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            assert not queue.offer(agent_fakes.captured_row(number, size=contract.MAX_EXAMPLE_BYTES))
        await queue.flush()
    assert [line.message for line in caplog.records] == ["capture_too_large"]
    assert (queue.too_large["digits"], queue.refused) == (3, 0)
    assert spool_thread.counts == spool.Counts(too_large=3)
    assert node_report.spool_state(spool_thread).too_large == 3
    await spool_thread.close()


async def test_frames_beyond_the_bound_of_the_queue_are_refused_and_memory_stays_bounded(tmp_path: Path) -> None:
    queue = CaptureQueue(agent_fakes.make_spool_thread(tmp_path), agent_fakes.SOURCE)
    taken = sum(queue.offer(agent_fakes.captured_row(number, size=FRAME)) for number in range(10))
    assert (taken, queue.refused) == (3, 7)  # 16 MiB, with what is beside the pixels
    await asyncio.sleep(0)


def test_the_metric_of_what_is_too_large_names_the_model(tmp_path: Path) -> None:
    class Queue:
        refused, is_standing_by, too_large = 0, False, {"digits": 2}

    class Memory:
        not_awaited = 0

    shown = Metrics()
    metrics.register_capture(shown, Queue(), Memory())  # type: ignore[arg-type]
    assert 'skerry_capture_too_large_total{model="digits"} 2' in shown.render().decode()
