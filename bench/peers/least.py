"""The least that a server in Python on uvloop can do for one request of a network of images: no HTTP/2 but frames and
stream numbers, no protobuf, no checks, one run of ONNX Runtime. PORT KIND MODEL. Not a server to use: it shows how much
of the time of one connection is the machine's, the loop's and the network's.
"""

import asyncio

import numpy as np
import uvloop

from bench.peers import plain
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc.h2 import frames, refusal, wire

_IMAGE_BYTES, _SHAPE = 3136, (1, 1, 28, 28)
_HELLO = frames.settings({frames.MAX_CONCURRENT_STREAMS: 100}) + frames.window_update(0, 1 << 30)


def _before_logits() -> bytes:
    reply = pb.ModelInferResponse(model_name="cnn", model_version="1", raw_output_contents=[bytes(40)])
    reply.outputs.add(name="logits", datatype="FP32", shape=[1, 10])
    return reply.SerializeToString()[:-40]


class Protocol(asyncio.Protocol):
    def __init__(self, model: str) -> None:
        self._run = plain.session(model).run
        self._before, self._trailers = _before_logits(), wire.trailers(0)
        self._tail, self._at = b"", len(frames.PREFACE)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # sockets are both ways
        self._transport = transport
        transport.write(_HELLO)

    def data_received(self, data: bytes) -> None:
        data = self._tail + data if self._tail else data
        at, size = self._at, len(data)
        while size - at >= frames.HEAD_BYTES:
            high, low, kind, flags, stream = frames.unpack_head(data, at)
            end = at + frames.HEAD_BYTES + (high << 8 | low)
            if end > size:
                break
            if kind == frames.DATA and flags & frames.END_STREAM:
                self._answer(stream, data[end - _IMAGE_BYTES : end])
            elif kind == frames.SETTINGS and not flags & frames.ACK:
                self._transport.write(frames.SETTINGS_ACK)
            at = end
        self._tail, self._at = data[at:], max(0, at - size)

    def _answer(self, stream: int, image: bytes) -> None:
        logits = self._run(["logits"], {"input": np.frombuffer(image, np.float32).reshape(_SHAPE)})[0]
        last = frames.END_HEADERS | frames.END_STREAM
        self._transport.write(
            frames.frame(frames.HEADERS, frames.END_HEADERS, stream, refusal.OK_HEAD)
            + frames.frame(frames.DATA, 0, stream, wire.framed(self._before + logits.tobytes()))
            + frames.frame(frames.HEADERS, last, stream, self._trailers)
        )


async def _main() -> None:
    given = plain.arguments()
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(given.model), "127.0.0.1", given.port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
