"""The remote model: every call ends by its deadline, a dead link is replaced, the peer's errors become ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest

from skerry.adapters.oip import codec, remote
from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

REQUEST = InferRequest("digits", (Tensor.of("x", np.ones((1, 4), dtype=np.float32)),), id="r")
REPLY = codec.encode_reply(
    InferReply("digits", "7", (Tensor.of("logits", np.ones((1, 3), dtype=np.float32)),)), REQUEST
).SerializeToString()

Handler = Callable[[bytes, Any], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def peer(handler: Handler, port: int = 0) -> AsyncIterator[int]:
    """A grpcio server that answers ModelInfer by `handler`."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)])
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)


async def answer(data: bytes, context: Any) -> bytes:
    return REPLY


async def test_a_reply_comes_back_whole_and_the_trace_is_passed_on() -> None:
    seen: dict[str, Any] = {}

    async def handler(data: bytes, context: Any) -> bytes:
        seen.update(dict(context.invocation_metadata()))
        seen["request"] = pb.ModelInferRequest.FromString(data)
        seen["remaining_s"] = context.time_remaining()
        return REPLY

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with peer(handler) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        reply = await model.infer(REQUEST, 5.0, traceparent=trace, tracestate="a=b")
    assert (reply.model, reply.version) == ("digits", "7")
    np.testing.assert_array_equal(reply.outputs[0].data, np.ones((1, 3)))
    assert (seen["traceparent"], seen["tracestate"]) == (trace, "a=b")
    assert seen["request"].id == "r"
    assert seen["remaining_s"] <= 5.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InputError),
        (grpc.StatusCode.NOT_FOUND, errors.NotFoundError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.OverloadedError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.UnsupportedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineError),
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.INTERNAL, errors.UnavailableError),
        (grpc.StatusCode.UNKNOWN, errors.UnavailableError),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.RejectedError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.RejectedError),
        (grpc.StatusCode.DATA_LOSS, errors.IntegrityError),
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", "")),
)
async def test_the_peers_status_becomes_our_error(code: grpc.StatusCode, kind: type[Exception]) -> None:
    async def handler(data: bytes, context: Any) -> bytes:
        await context.abort(code, "because")
        raise AssertionError

    async with peer(handler) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        with pytest.raises(errors.SkerryError) as caught:
            await model.infer(REQUEST, 5.0)
    assert type(caught.value) is kind


async def test_a_silent_peer_costs_no_more_than_the_deadline() -> None:
    async def handler(data: bytes, context: Any) -> bytes:
        await asyncio.sleep(60)
        return REPLY

    loop = asyncio.get_running_loop()
    async with peer(handler) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        start = loop.time()
        with pytest.raises(errors.DeadlineError, match=r"0\.2 s"):
            await model.infer(REQUEST, 0.2)
        assert loop.time() - start < 5.0


async def test_no_peer_at_all_is_unavailable_or_late() -> None:
    async with RemoteModel("127.0.0.1:1") as model:
        with pytest.raises(errors.UnavailableError):
            await model.infer(REQUEST, 1.0)


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff", pb.ModelInferResponse(raw_output_contents=[b"x"]).SerializeToString()]
)
async def test_an_answer_that_is_none_is_told(garbage: bytes) -> None:
    async def handler(data: bytes, context: Any) -> bytes:
        return garbage

    async with peer(handler) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        with pytest.raises(errors.UnavailableError, match="protocol"):
            await model.infer(REQUEST, 5.0)


async def test_a_request_above_the_limit_is_not_sent() -> None:
    async with RemoteModel("127.0.0.1:1", max_message_bytes=1000) as model:
        with pytest.raises(errors.TooLargeError, match="1000"):
            await model.infer(InferRequest("m", (Tensor.of("x", np.ones(1000)),)), 1.0)


async def test_20_mib_pass_both_ways() -> None:
    big = Tensor.of("x", np.ones((1, 5 << 20), dtype=np.float32))

    async def handler(data: bytes, context: Any) -> bytes:
        request = codec.decode_request(pb.ModelInferRequest.FromString(data))
        return codec.encode_reply(InferReply("m", "1", request.inputs), request).SerializeToString()

    server_limit = 64 << 20
    assert server_limit > remote.MAX_MESSAGE_BYTES
    async with peer(handler) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        reply = await model.infer(InferRequest("m", (big,)), 20.0)
    assert reply.outputs[0].shape == (1, 5 << 20)


async def test_a_black_hole_is_left_behind_by_a_new_link() -> None:
    """A proxy whose first connection works, then swallows everything in silence; later connections are good."""
    dark, connections = asyncio.Event(), 0

    async with peer(answer) as port:

        async def proxied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            hole = dark if connections == 1 else None
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer), contextlib.closing(up_writer):
                pumps = _pump(reader, up_writer, hole), _pump(up_reader, writer, hole)
                await asyncio.gather(*pumps, return_exceptions=True)

        proxy = await asyncio.start_server(proxied, "127.0.0.1", 0)
        address = "{}:{}".format(*proxy.sockets[0].getsockname()[:2])
        async with RemoteModel(address) as model:
            await model.infer(REQUEST, 5.0)
            dark.set()
            failures = 0
            async with asyncio.timeout(20):
                while True:
                    try:
                        await model.infer(REQUEST, 0.5)
                        break
                    except errors.UnavailableError:
                        failures += 1
        proxy.close()
    assert failures == 2
    assert connections == 2


async def test_after_an_outage_the_peer_is_found_again() -> None:
    async with peer(answer) as port:
        model = RemoteModel(f"127.0.0.1:{port}")
        await model.infer(REQUEST, 5.0)
    for _ in range(4):
        with pytest.raises(errors.UnavailableError):
            await model.infer(REQUEST, 0.3)
    async with peer(answer, port), asyncio.timeout(20):
        while True:
            with contextlib.suppress(errors.UnavailableError):
                await model.infer(REQUEST, 0.5)
                break
    await model.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hole: asyncio.Event | None) -> None:
    while data := await reader.read(65536):
        if hole is None or not hole.is_set():
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_call_whose_channel_is_closed_fails_and_is_not_taken_for_cancelled() -> None:
    async def never(data: bytes, context: Any) -> bytes:
        await asyncio.sleep(3600)
        return REPLY

    async with peer(never) as port, RemoteModel(f"127.0.0.1:{port}") as model:
        asking = asyncio.ensure_future(model.infer(REQUEST, 60.0))
        await asyncio.sleep(0.2)
        await model.close()
        with pytest.raises(errors.UnavailableError, match="given up"):
            await asyncio.wait_for(asking, 10)
