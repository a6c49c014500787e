"""The curator as a process of its own, with a teacher on a real socket: starts, labels, survives kill -9, ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import curating
import grpc
import numpy as np
import pytest
import valkey

from skerry.adapters import fleetstate, objects
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.oip import codec
from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.streams import open_streams
from skerry.core import digests, errors, tensors
from skerry.core.inference import InferReply
from skerry.core.tasks import Classification
from skerry.curator.teacher import RemoteTeacher
from skerry.proto import open_inference_pb2 as pb

METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Teacher(grpc.GenericRpcHandler):
    """An OIP server that knows the class by the first pixel, and nothing but the model `digits`."""

    def __init__(self) -> None:
        self.outputs = 3
        self.port = 0

    async def start(self) -> None:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._infer) if details.method == METHOD else None

    async def _infer(self, data: bytes, context: Any) -> bytes:
        request = codec.decode_request(pb.ModelInferRequest.FromString(data))
        if request.model != "digits":
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        (image,) = request.inputs
        logits = np.eye(self.outputs, dtype=np.float32)[image.data.reshape(len(image.data), -1)[:, 0] % 3]
        outputs = (tensors.Tensor.of("labels", np.zeros(1, dtype=np.int64)), tensors.Tensor.of("logits", logits))
        return codec.encode_reply(InferReply(request.model, "7", outputs), request).SerializeToString()


@pytest.fixture
async def teacher() -> AsyncIterator[Teacher]:
    one = Teacher()
    await one.start()
    yield one
    await one.stop()


async def test_the_teacher_is_asked_over_the_protocol(teacher: Teacher) -> None:
    async with RemoteModel(f"127.0.0.1:{teacher.port}") as remote:
        rows = np.array([[[2, 0], [0, 0]], [[1, 0], [0, 0]]], dtype=np.uint8)
        answer = await RemoteTeacher(remote, 5.0).ask(curating.TASK, rows)
    assert answer.by == "teacher digits 7"
    assert answer.outputs.argmax(axis=1).tolist() == [2, 1]


async def test_a_teacher_with_other_classes_or_without_the_model_is_no_teacher_yet(teacher: Teacher) -> None:
    teacher.outputs = 5
    rows = np.zeros((1, 2, 2), dtype=np.uint8)
    async with RemoteModel(f"127.0.0.1:{teacher.port}") as remote:
        with pytest.raises(errors.UnavailableError, match=r"logits FP32 \[1, 5\], not floating numbers \[1, 3\]"):
            await RemoteTeacher(remote, 5.0).ask(curating.TASK, rows)
        with pytest.raises(errors.UnavailableError, match="no model faces"):
            await RemoteTeacher(remote, 5.0).ask(
                curating.LabelTask("faces", Classification(("a", "b")), curating.INPUT), rows
            )


async def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


class Process:
    """The curator as the system starts it."""

    def __init__(self, environment: dict[str, str]) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "skerry.curator.main"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, **environment},
            stdout=subprocess.PIPE,
        )

    async def ready(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = await asyncio.to_thread(self._popen.stdout.readline)
        told: dict[str, Any] = json.loads(line)
        return told

    async def end(self, number: int) -> int:
        self._popen.send_signal(number)
        with self._popen:  # closes its pipe
            return await asyncio.to_thread(self._popen.wait, 20)


async def test_a_curator_process_labels_across_kill_and_restart(tmp_path: Path, teacher: Teacher) -> None:
    server = valkey.Valkey()
    try:
        environment = {
            "SKERRY_OBJECTS": f"sqlite://{tmp_path}/objects.db",
            "SKERRY_BLOBS": f"file://{tmp_path}/blobs",
            "SKERRY_REDIS_URL": server.url,
            "SKERRY_TEACHER": f"127.0.0.1:{teacher.port}",
            "SKERRY_PUBLISH_SECONDS": "1",
        }
        store = objects.open_objects(environment["SKERRY_OBJECTS"])
        store.create("EdgeModel", "digits", curating.SPEC, manager="operator")
        blobs, streams = DirectoryBlobs(tmp_path / "blobs"), open_streams(server.url)
        readings = fleetstate.open_fleetstate(server.url)

        def upload(seeds: range) -> None:
            for seed in seeds:
                data = curating.example(seed)
                blobs.write(f"examples/digits/{digests.hex_of(digests.sha256(data))}", data)
                entry = {"model": "digits", "id": digests.sha256(data), "kind": "example"}
                streams.append("skerry:examples", [entry])

        def labelled(count: int) -> Callable[[], bool]:
            return lambda: len(list(blobs.list("labels/digits"))) == count

        def captured() -> int:
            text = readings.get("curator:").get("curator:digits", "{}")
            return int(json.loads(text).get("captured", 0))

        first = Process(environment)
        assert (await first.ready())["event"] == "ready"
        upload(range(20))
        await until(labelled(20), "the first examples were not labelled")
        upload(range(20, 40))
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        second = Process(environment)
        await second.ready()
        await until(labelled(40), "what the killed curator held was not labelled")
        await until(lambda: captured() == 40, "the dataset did not hold all")
        upload(range(40, 41))
        await until(labelled(41), "the last one was not labelled")
        assert await second.end(signal.SIGTERM) == 0
        manifests = list(blobs.list("datasets/digits"))
        newest = max(json.loads(blobs.read(path, max_bytes=1 << 20))["createdUnixMs"] for path in manifests)
        sizes = {
            sum(part["samples"] for part in found["parts"])
            for found in (json.loads(blobs.read(path, max_bytes=1 << 20)) for path in manifests)
            if found["createdUnixMs"] == newest
        }
        assert max(sizes) == 41  # what was labelled last is published before the process ends
    finally:
        server.close()
