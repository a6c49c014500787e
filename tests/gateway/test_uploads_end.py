"""A node's uploader against the real ingest: what is refused is dropped there, what is held back comes later, and
nothing is sent for ever."""

from pathlib import Path

import agent_fakes
from ingesting import Known

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.streams.memory import MemoryStreams
from skerry.agent.capture import capture_queue, uploader
from skerry.core import errors
from skerry.core.uploads import Fault
from skerry.gateway import given_versions
from skerry.gateway.ingest import Ingest
from skerry.gateway.rates import Rate
from skerry.proto import fleet_pb2

GIVEN = "sha256:" + "a" * 64  # as the fakes capture it


class Site:
    """A node with a spool, its uploader, and one gateway's ingest; time moves only when told."""

    def __init__(self, folder: Path, known: Known, **rates: Rate) -> None:
        self.known, self.blobs = known, MemoryBlobs()
        self.intake = Ingest(self.blobs, MemoryStreams(), known.rules(**rates))
        self.spool_thread = agent_fakes.make_spool_thread(folder)
        self.uploader = uploader.Uploader(self.spool_thread, "edge-1", self._send, lambda: 0.5)

    async def _send(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        return self.intake.upload(request)

    async def capture(self, count: int) -> None:
        queue = capture_queue.CaptureQueue(self.spool_thread, agent_fakes.SOURCE)
        for number in range(count):
            queue.offer(agent_fakes.captured_row(number))
        await queue.flush()

    async def drain(self, until_s: int) -> int:
        """Try every second as long as something waits; returns how many requests were in vain."""
        vain = 0
        for second in range(until_s):
            self.known.now_s = float(second)
            try:
                while self.spool_thread.counts.pending and await self.uploader.step():
                    continue
            except errors.UnavailableError:
                vain += 1
        return vain


async def test_rows_of_a_version_that_was_never_given_are_kept_a_while_and_then_dropped(tmp_path: Path) -> None:
    site = Site(tmp_path, Known())
    await site.capture(100)
    assert await site.drain(int(given_versions.WAIT_S)) > 0
    assert site.spool_thread.counts.pending == 100
    await site.drain(30)
    counts = site.spool_thread.counts
    assert (counts.pending, counts.refused, counts.uploaded) == (0, 100, 0)
    assert list(site.blobs.list("examples")) == []
    assert {fault for _, fault in site.known.told} == {Fault.UNKNOWN_VERSION}
    await site.spool_thread.close()


async def test_a_full_spool_after_an_outage_comes_whole_at_the_nodes_rate(tmp_path: Path) -> None:
    known = Known()
    known.publish("digits", 2, GIVEN)
    known.settle("digits", 2)
    site = Site(tmp_path, known, records=Rate(20.0, 200.0))
    await site.capture(500)
    await site.drain(5)
    assert 200 <= site.spool_thread.counts.uploaded <= 300
    await site.drain(20)
    counts = site.spool_thread.counts
    assert (counts.pending, counts.refused, counts.uploaded) == (0, 0, 500)
    assert len(list(site.blobs.list("examples"))) == 500
    await site.spool_thread.close()


async def test_rows_of_a_model_that_was_deleted_are_dropped(tmp_path: Path) -> None:
    known = Known(models=("digits", "faces"))
    known.publish("digits", 2, GIVEN)
    known.settle("digits", 2)
    known.objects.delete("EdgeModel", "digits")
    known.watch()
    site = Site(tmp_path, known)
    await site.capture(10)
    await site.drain(int(given_versions.WAIT_S) + 3)
    assert site.spool_thread.counts.refused == 10
    assert {fault for _, fault in known.told} == {Fault.UNKNOWN_MODEL}
    await site.spool_thread.close()
