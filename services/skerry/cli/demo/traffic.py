"""The demo's cameras at work: real gRPC clients that send images to the agents at a steady rate and record
every answer.

An answer is recorded with what the camera alone knows (the true digit); late ground truth for a share of the requests
goes back by the Feedback call. Nothing here decides anything about models.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
import numpy as np

from skerry.adapters import proxies
from skerry.cli.demo.digits import Images, Split
from skerry.core import feedback
from skerry.proto import edge_pb2, open_inference_pb2

DEADLINE_S = 2.0
FEEDBACK_SHARE = 0.1
FEEDBACK_DELAY_S = 2.0

INFER = "/inference.GRPCInferenceService/ModelInfer"
FEEDBACK = "/skerry.edge.v1.Edge/Feedback"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its camera saw it. `error` is empty unless no answer came."""

    at_s: float  # since the demo's start
    phase: str
    shown: str  # name of the split that the image is of
    node: str
    label: int
    answered: int
    local: int
    route: str
    degraded: bool
    confidence: float
    digest: str
    version: int
    seconds: float
    error: str = ""


@dataclass(slots=True)
class Scene:
    """What the cameras see now; the phases change it between phases."""

    phase: str
    images: Split


@dataclass(frozen=True, slots=True)
class _Shot:
    """What a camera knows of a request that it sends."""

    phase: str
    shown: str
    node: str
    label: int


class Camera:
    """One gRPC client of one agent."""

    def __init__(self, node: str, address: str) -> None:
        self.node = node
        options = [
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 500),
            *proxies.grpc_options(address),
        ]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._infer = self._channel.unary_unary(
            INFER,
            request_serializer=open_inference_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=open_inference_pb2.ModelInferResponse.FromString,
        )
        self._feedback = self._channel.unary_unary(
            FEEDBACK,
            request_serializer=edge_pb2.FeedbackRequest.SerializeToString,
            response_deserializer=edge_pb2.FeedbackReply.FromString,
        )

    async def infer(self, model: str, request_id: str, image: Images) -> open_inference_pb2.ModelInferResponse:
        request = open_inference_pb2.ModelInferRequest(model_name=model, id=request_id)
        request.inputs.add(name="image", datatype="UINT8", shape=[1, *image.shape])
        request.raw_input_contents.append(image.tobytes())
        reply: open_inference_pb2.ModelInferResponse = await self._infer(request, timeout=DEADLINE_S)
        return reply

    async def feedback(self, truth: edge_pb2.FeedbackRequest) -> None:
        """The truth, some time later. A camera that cannot deliver it just does not."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._feedback(truth, timeout=DEADLINE_S)

    async def close(self) -> None:
        await self._channel.close()


class Traffic:
    """Sends `rate` requests a second in all, in turn to the cameras that are on, and records every answer. Images that
    come while as many wait as could be answered in time are `skipped`: a machine that is too slow for its cameras must
    not spend what it has on answers that come too late."""

    def __init__(
        self, model: str, cameras: Sequence[Camera], scene: Scene, *, rate: float, started: float, seed: int = 0
    ) -> None:
        self.scene, self.answers, self.skipped = scene, list[Answer](), 0
        self._most_waiting = max(1, int(rate * DEADLINE_S))
        self._model, self._cameras, self._rate = model, list(cameras), rate
        self._off: set[str] = set()
        self._rng = np.random.default_rng(seed)
        self._started = started
        self._pending: set[asyncio.Task[None]] = set()
        self._waiting = 0  # requests without an answer yet
        self._run_id = f"{time.time_ns():x}"

    def now(self) -> float:
        return time.monotonic() - self._started

    def switch_off(self, node: str) -> None:
        """The site of this node is gone: its cameras with it."""
        self._off.add(node)

    def switch_on(self, node: str) -> None:
        self._off.discard(node)

    async def run(self) -> None:
        """Until cancelled. A tick that comes late sends what was due: the rate is the rate."""
        sent, began = 0, time.monotonic()
        try:
            while True:
                due = int((time.monotonic() - began) * self._rate)
                for number in range(sent, due):
                    if self._waiting < self._most_waiting:
                        self._send(number)
                    else:
                        self.skipped += 1
                sent = due
                await asyncio.sleep(1 / self._rate)
        finally:
            await self._finish()

    async def _finish(self) -> None:
        """Every request that was sent gets its answer or its error; late ground truth is no request."""
        while requests := [task for task in self._pending if task.get_name() == "infer"]:
            await asyncio.wait(requests)
        for task in self._pending:
            task.cancel()
        for camera in self._cameras:
            await camera.close()

    def _send(self, number: int) -> None:
        cameras = [camera for camera in self._cameras if camera.node not in self._off]
        camera, images = cameras[number % len(cameras)], self.scene.images
        index = int(self._rng.integers(len(images.x)))
        shot = _Shot(self.scene.phase, images.name, camera.node, int(images.y[index]))
        self._waiting += 1
        self._spawn(self._ask(camera, f"{self._run_id}-{number}", images.x[index], shot), "infer")

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _ask(self, camera: Camera, request_id: str, image: Images, shot: _Shot) -> None:
        began = time.perf_counter()
        try:
            reply = await camera.infer(self._model, request_id, image)
        except grpc.aio.AioRpcError as exc:
            self.answers.append(self._lost(shot, time.perf_counter() - began, exc))
            return
        finally:
            self._waiting -= 1
        self.answers.append(self._answered(shot, time.perf_counter() - began, reply))
        token = reply.parameters[feedback.PARAMETER].string_param  # none: not captured, there is nothing to label
        if self._rng.random() < FEEDBACK_SHARE and token:
            truth = edge_pb2.FeedbackRequest(model=self._model, request_id=request_id, label=shot.label, token=token)
            self._spawn(_send_feedback_later(camera, truth), "feedback")

    def _lost(self, shot: _Shot, seconds: float, exc: grpc.aio.AioRpcError) -> Answer:
        error, who = f"{exc.code().name}: {exc.details()}", (shot.phase, shot.shown, shot.node, shot.label)
        return Answer(self.now(), *who, -1, -1, "", False, 0.0, "", 0, seconds, error)

    def _answered(self, shot: _Shot, seconds: float, reply: open_inference_pb2.ModelInferResponse) -> Answer:
        said = reply.parameters
        return Answer(
            at_s=self.now(),
            phase=shot.phase,
            shown=shot.shown,
            node=shot.node,
            label=shot.label,
            answered=int(np.frombuffer(reply.raw_output_contents[0], dtype=np.float32).argmax()),
            local=int(said["skerry_local_class"].int64_param),
            route=said["skerry_route"].string_param,
            degraded=said["skerry_degraded"].bool_param,
            confidence=float(said["skerry_confidence"].string_param),
            digest=said["skerry_local_digest"].string_param,
            version=int(reply.model_version) if said["skerry_route"].string_param == "local" else 0,
            seconds=seconds,
        )


async def _send_feedback_later(camera: Camera, truth: edge_pb2.FeedbackRequest) -> None:
    await asyncio.sleep(FEEDBACK_DELAY_S)
    await camera.feedback(truth)
