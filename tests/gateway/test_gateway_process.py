"""The gateway as a process of its own, on both transports: reports, states, uploads, files, kill -9 and SIGTERM."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import selection
import valkey

from skerry.adapters import fleetstate, objects, streams
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.core import digests
from skerry.proto import fleet_pb2

DIGEST = "sha256:" + "ab" * 32
ASSIGNMENT = {"model": "digits", "digest": DIGEST, "version": 3, "targetPath": "retrained/digits/3"}


class Gateway:
    """Started as the system starts it; `url` and `address` are known once it is ready."""

    def __init__(self, folder: Path, redis_url: str, transport: str) -> None:
        self.objects = objects.open_objects(f"sqlite://{folder}/objects.db")
        self.blobs = DirectoryBlobs(folder / "blobs")
        (folder / "repository" / "metadata").mkdir(parents=True, exist_ok=True)
        (folder / "repository" / "metadata" / "timestamp.json").write_text("{}")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "SKERRY_OBJECTS": f"sqlite://{folder}/objects.db",
            "SKERRY_BLOBS": f"file://{folder}/blobs",
            "SKERRY_REDIS_URL": redis_url,
            "SKERRY_REPOSITORY": f"file://{folder / 'repository'}",
            "SKERRY_TRANSPORT": transport,
        }

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "skerry.gateway.main"]
        self.process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE)

    async def start(self, **environment: str) -> None:
        self._environment |= environment
        self._spawn()
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        ready = json.loads(line)
        assert ready["event"] == "ready"
        self.address, self.url = ready["listen"], f"http://{ready['http']}"

    async def end(self, number: int) -> int:
        self.process.send_signal(number)
        with self.process:
            return await asyncio.to_thread(self.process.wait, 20)

    @contextlib.asynccontextmanager
    async def node(self) -> AsyncIterator["Node"]:
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield Node(channel)

    async def get(self, path: str) -> bytes:
        def read() -> bytes:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bytes(answer.read())

        return await asyncio.to_thread(read)


class Node:
    """A node's side of the wire."""

    def __init__(self, channel: Any) -> None:
        service = "/skerry.fleet.v1.Fleet/"
        self._sync = channel.stream_stream(
            service + "Sync",
            request_serializer=fleet_pb2.NodeReport.SerializeToString,
            response_deserializer=fleet_pb2.DesiredState.FromString,
        )
        self._upload = channel.unary_unary(
            service + "Upload",
            request_serializer=fleet_pb2.UploadRequest.SerializeToString,
            response_deserializer=fleet_pb2.UploadReply.FromString,
        )

    def open(self) -> Any:
        return self._sync()

    async def upload(self, *examples: bytes) -> fleet_pb2.UploadReply:
        records = [fleet_pb2.Record(id=digests.sha256(one), example=one) for one in examples]
        reply = await self._upload(fleet_pb2.UploadRequest(node="north", records=records), timeout=20)
        assert isinstance(reply, fleet_pb2.UploadReply)
        return reply


def report(sequence: int, node: str = "north") -> fleet_pb2.NodeReport:
    return fleet_pb2.NodeReport(
        node=node,
        boot_id="b",
        sequence=sequence,
        models=[fleet_pb2.ModelReport(model="digits", digest=DIGEST)],
        readings=[fleet_pb2.Reading(model="digits", requests=sequence)],
    )


def example(seed: int) -> bytes:
    tensor = fleet_pb2.CapturedTensor(name="x", datatype="UINT8", shape=[1, 784], raw=bytes(784))
    return bytes(
        fleet_pb2.Example(
            model="digits", node="north", request_id=f"r{seed}", digest=DIGEST, inputs=[tensor]
        ).SerializeToString()
    )


async def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


@pytest.fixture(params=selection.TRANSPORTS)
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    server = valkey.Valkey()
    one = Gateway(tmp_path, server.url, request.param)
    version = {"model": "digits", "version": 3, "digest": DIGEST}
    one.objects.create("EdgeModel", "digits", {}, manager="operator")
    one.objects.create("ModelVersion", "digits-v3", version, manager="operator")
    one.objects.patch("EdgeModel", "digits", status={"stableVersion": "digits-v3"}, manager="controller")
    one.server = server  # type: ignore[attr-defined]  # tests reach the server through their gateway
    await one.start()
    yield one
    if one.process.poll() is None:
        await one.end(signal.SIGKILL)
    server.close()


async def test_a_node_reports_gets_its_state_at_once_and_on_change_and_is_told_gone(gateway: Gateway) -> None:
    state = fleetstate.open_fleetstate(gateway.server.url)  # type: ignore[attr-defined]
    async with gateway.node() as node:
        stream = node.open()
        await stream.write(report(1))
        assert list((await asyncio.wait_for(stream.read(), 10)).assignments) == []
        await until(lambda: bool(gateway.objects.list("EdgeNode")), "the node was not enrolled")
        gateway.objects.patch("EdgeNode", "north", spec={"assignments": [ASSIGNMENT]}, manager="controller")
        changed = await asyncio.wait_for(stream.read(), 10)
        assert [one.digest for one in changed.assignments] == [DIGEST]
        await until(lambda: "node:north:digits" in state.get("node:"), "no reading came")
        assert gateway.objects.get("EdgeNode", "north").status["connected"] is True
        await stream.done_writing()
        assert await asyncio.wait_for(stream.read(), 10) is grpc.aio.EOF
        await until(lambda: not gateway.objects.get("EdgeNode", "north").status["connected"], "still connected")


async def test_a_link_that_breaks_is_noticed(gateway: Gateway) -> None:
    async with gateway.node() as node:
        stream = node.open()
        await stream.write(report(1))
        await asyncio.wait_for(stream.read(), 10)
        await until(lambda: bool(gateway.objects.list("EdgeNode")), "the node was not enrolled")
        await until(lambda: bool(gateway.objects.get("EdgeNode", "north").status), "no status")
        stream.cancel()
        await until(lambda: not gateway.objects.get("EdgeNode", "north").status["connected"], "still connected")


async def test_a_report_that_is_wrong_ends_the_stream_with_its_reason(gateway: Gateway) -> None:
    async with gateway.node() as node:
        stream = node.open()
        await stream.write(fleet_pb2.NodeReport(node="North!", boot_id="b"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(stream.read(), 10)
            await stream.code()
            raise AssertionError("the stream went on")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "lower-case" in str(caught.value.details())


async def test_uploads_go_on_without_redis_and_across_kill_and_restart(gateway: Gateway) -> None:
    async with gateway.node() as node:
        assert len((await node.upload(example(1), example(2))).accepted) == 2
        gateway.server.kill()  # type: ignore[attr-defined]
        assert len((await node.upload(example(3))).accepted) == 1
        gateway.server.start()  # type: ignore[attr-defined]
    assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
    await gateway.start()
    async with gateway.node() as node:
        assert len((await node.upload(*(example(seed) for seed in range(1, 6)))).accepted) == 5
    assert len(list(gateway.blobs.list("examples/digits"))) == 5
    queue = streams.open_streams(gateway.server.url)  # type: ignore[attr-defined]
    told = queue.read("skerry:examples", "g", "c", count=10, block_s=0)
    assert {one.fields["id"] for one in told} == {digests.sha256(example(seed)) for seed in range(1, 6)}


async def test_an_upload_beyond_the_message_limit_is_told_the_limit(gateway: Gateway) -> None:
    async with gateway.node() as node:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await node._upload(fleet_pb2.UploadRequest(node="north" * (2 << 20)), timeout=20)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len((await node.upload(example(1))).accepted) == 1


async def test_the_repository_health_and_metrics_are_served(gateway: Gateway) -> None:
    assert await gateway.get("/repository/metadata/timestamp.json") == b"{}"
    assert json.loads(await gateway.get("/healthz"))["ok"] is True
    assert b"skerry_gateway_streams 0\n" in await gateway.get("/metrics")


async def test_at_sigterm_nodes_are_asked_to_connect_again_and_the_process_ends(gateway: Gateway) -> None:
    async with gateway.node() as node:
        stream = node.open()
        await stream.write(report(1))
        await asyncio.wait_for(stream.read(), 10)
        assert await gateway.end(signal.SIGTERM) == 0
        assert await stream.code() == grpc.StatusCode.UNAVAILABLE
    assert gateway.objects.get("EdgeNode", "north").status["connected"] is False


async def test_while_it_gives_notice_it_is_not_ready_and_takes_nodes_and_uploads(gateway: Gateway) -> None:
    await gateway.end(signal.SIGKILL)
    await gateway.start(SKERRY_NOTICE_SECONDS="2")
    async with gateway.node() as node:
        stream = node.open()
        await stream.write(report(1))
        await asyncio.wait_for(stream.read(), 10)
        assert json.loads(await gateway.get("/readyz"))["ok"] is True
        gateway.process.send_signal(signal.SIGTERM)
        with pytest.raises(urllib.error.HTTPError):
            while True:
                await gateway.get("/readyz")
        assert len((await node.upload(example(1))).accepted) == 1
        async with gateway.node() as late:
            another = late.open()
            await another.write(report(1, node="south"))
            await asyncio.wait_for(another.read(), 10)
            assert await asyncio.wait_for(stream.code(), 20) == grpc.StatusCode.UNAVAILABLE
            assert await asyncio.wait_for(another.code(), 20) == grpc.StatusCode.UNAVAILABLE
    with gateway.process:
        assert await asyncio.to_thread(gateway.process.wait, 20) == 0
    for name in ("north", "south"):
        assert gateway.objects.get("EdgeNode", name).status["connected"] is False
