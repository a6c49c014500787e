"""The road to the cloud: in order, at least once, once in effect, and nothing in the way of what comes after it."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.agent.capture import capture_queue, spool, uploader
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import backoff, contract
from skerry.proto import fleet_pb2


@pytest.fixture
async def spool_thread(tmp_path: Path) -> AsyncIterator[SpoolThread]:
    opened = agent_fakes.make_spool_thread(tmp_path)
    yield opened
    await opened.close()


def make_uploader(spool_thread: SpoolThread, cloud: agent_fakes.Cloud) -> uploader.Uploader:
    return uploader.Uploader(spool_thread, "edge-1", cloud.send, random.Random(1).random, base_s=0.01, cap_s=0.05)


async def capture(spool_thread: SpoolThread, count: int, size: int = 64, start: int = 0) -> list[str]:
    queue = capture_queue.CaptureQueue(spool_thread, agent_fakes.SOURCE)
    for number in range(start, start + count):
        queue.offer(agent_fakes.captured_row(number, size))
    await queue.flush()
    rows = await spool_thread.call(lambda s: s.next_batch(10_000, 1 << 30))
    return [row.id for row in rows]


async def test_an_outage_ends_with_everything_uploaded_once_and_in_order(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    cloud.up = False
    ids = await capture(spool_thread, 200)
    async with agent_fakes.running(make_uploader(spool_thread, cloud).run()):
        await agent_fakes.until(lambda: len(cloud.sizes) >= 3)
        assert spool_thread.counts.pending == 200
        cloud.up = True
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
    assert cloud.order == ids
    assert spool_thread.counts.uploaded == 200


async def test_twenty_lost_acknowledgements_leave_each_record_once(spool_thread: SpoolThread, tmp_path: Path) -> None:
    cloud = agent_fakes.Cloud()
    cloud.lose_acks = 20
    ids = await capture(spool_thread, 100)
    async with agent_fakes.running(make_uploader(spool_thread, cloud).run()):
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
    assert sorted(cloud.records) == sorted(ids)
    assert max(cloud.received.values()) > 1
    assert spool_thread.counts.uploaded == 100


async def test_a_restart_between_commit_and_acknowledgement_sends_the_same_ids(tmp_path: Path) -> None:
    cloud, first = agent_fakes.Cloud(), agent_fakes.make_spool_thread(tmp_path)
    cloud.lose_acks = 1
    ids = await capture(first, 3)
    with pytest.raises(Exception, match="lost"):
        await make_uploader(first, cloud).step()
    await first.close()
    second = agent_fakes.make_spool_thread(tmp_path)
    assert await make_uploader(second, cloud).step()
    assert cloud.order == ids
    assert second.counts.pending == 0
    await second.close()


async def test_requests_keep_the_limits_of_the_protocol(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    await capture(spool_thread, 100, size=100_000)
    await capture(spool_thread, 300, start=100)
    async with agent_fakes.running(make_uploader(spool_thread, cloud).run()):
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
    assert max(count for count, _ in cloud.sizes) == contract.MAX_UPLOAD_RECORDS
    assert max(size for _, size in cloud.sizes) <= contract.SHARED_UPLOAD_BYTES


async def test_the_largest_record_that_is_kept_fits_a_request(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    await capture(spool_thread, 1, size=spool.Limits().max_record_bytes - 600)
    assert await make_uploader(spool_thread, cloud).step()
    assert spool_thread.counts.uploaded == 1
    assert cloud.sizes[0][1] <= contract.MAX_UPLOAD_BYTES


async def test_refused_records_are_dropped_counted_and_do_not_stop_the_rest(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    ids = await capture(spool_thread, 10)
    cloud.refuse = set(ids[2:4])
    async with agent_fakes.running(make_uploader(spool_thread, cloud).run()):
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
    assert (spool_thread.counts.uploaded, spool_thread.counts.refused) == (8, 2)


async def test_one_record_that_spoils_its_request_is_found_and_dropped_alone(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    ids = await capture(spool_thread, 50)
    cloud.too_large = {ids[33]}
    async with agent_fakes.running(make_uploader(spool_thread, cloud).run()):
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)
    assert (spool_thread.counts.uploaded, spool_thread.counts.refused) == (49, 1)
    assert set(cloud.records) == set(ids) - {ids[33]}


async def test_a_cloud_that_acknowledges_nothing_is_not_hammered(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    await capture(spool_thread, 1)
    original = cloud.send

    async def silent(request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        await original(request)
        return fleet_pb2.UploadReply(accepted=["sha256:someone-else"])

    assert not await uploader.Uploader(spool_thread, "edge-1", silent, lambda: 0.0).step()
    assert spool_thread.counts.pending == 1


async def test_a_truth_arrives_after_its_example(spool_thread: SpoolThread) -> None:
    cloud, queue = agent_fakes.Cloud(), capture_queue.CaptureQueue(spool_thread, agent_fakes.SOURCE, flush_s=0.01)
    async with agent_fakes.running(queue.run(), make_uploader(spool_thread, cloud).run()):
        queue.offer(agent_fakes.captured_row(1))
        await agent_fakes.until(lambda: spool_thread.counts.uploaded == 1)
        assert await queue.feedback("digits", "r1", 9, agent_fakes.LABEL_MAP)
        await agent_fakes.until(lambda: spool_thread.counts.uploaded == 2)
    (truth,) = cloud.truths()
    assert (truth.example_id, truth.label) == (cloud.order[0], 9)


async def test_hearing_from_the_cloud_ends_a_long_back_off(spool_thread: SpoolThread) -> None:
    cloud = agent_fakes.Cloud()
    cloud.up = False
    queue = uploader.Uploader(spool_thread, "edge-1", cloud.send, lambda: 0.0, base_s=600.0, cap_s=600.0)
    await capture(spool_thread, 3)
    async with agent_fakes.running(queue.run()):
        await agent_fakes.until(lambda: len(cloud.sizes) == 1)
        cloud.up = True
        await asyncio.sleep(0)
        queue.resume()
        await agent_fakes.until(lambda: spool_thread.counts.pending == 0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_grows_to_its_cap_and_never_vanishes(attempt: int, u: float) -> None:
    delay = backoff.delay_s(attempt, base_s=0.5, cap_s=30.0, u=u)
    assert 0.25 <= delay <= 30.0
    assert delay <= 0.5 * 2 ** min(attempt, 30)
    assert attempt < 6 or delay >= 15.0
