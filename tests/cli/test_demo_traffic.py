"""The demo's cameras on a machine that is too slow for them."""

import asyncio

import agent_fakes
import grpc
import numpy as np

from skerry.cli.demo import digits, traffic
from skerry.cli.demo.digits import Images
from skerry.proto import open_inference_pb2


class StuckCamera(traffic.Camera):
    """Gets no answer until `released`, and then that nobody is there."""

    def __init__(self) -> None:
        self.node, self.released = "cam", asyncio.Event()

    async def infer(self, model: str, request_id: str, image: Images) -> open_inference_pb2.ModelInferResponse:
        await self.released.wait()
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "gone")

    async def close(self) -> None:
        self.released.set()


async def test_no_more_images_wait_than_can_be_answered_in_time_and_the_others_are_counted() -> None:
    """When they are answered, images are sent again."""
    camera = StuckCamera()
    images = digits.Split("clean", np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64))
    scene = traffic.Scene("clean", images)
    rate = 2000.0
    sent = traffic.Traffic("digits", [camera], scene, rate=rate, started=0.0)
    running = asyncio.create_task(sent.run())
    most = int(rate * traffic.DEADLINE_S)
    await agent_fakes.until(lambda: sent.skipped > 0, timeout_s=60)
    assert len(sent.answers) == 0
    camera.released.set()
    await agent_fakes.until(lambda: len(sent.answers) > most, timeout_s=60)
    running.cancel()
    await asyncio.wait([running])
