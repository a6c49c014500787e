"""The node's one connection to its gateway: the long-lived Sync stream and uploads share a channel.

Only skerry's errors come out. A link that went silent is found by a ping a minute, an interval that gRPC servers take
without complaint while a stream is open.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from skerry.core import errors
from skerry.proto import fleet_pb2

SERVICE = "/skerry.fleet.v1.Fleet/"
_MAX_MESSAGE_BYTES = 8 << 20
_UPLOAD_TIMEOUT_S = 30.0
_SLOWEST_BYTES_PER_S = 4096  # a link of 64 kbit/s that the rest of the node uses too still gets a whole request through
_OPTIONS = (
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # our own back-off decides; the channel must be ready when it ends
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
)
# What the gateway says of a request that it will never take as it is.
_FAULTS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)


class Stream:
    """An open Sync stream. Sending and receiving may go on at the same time."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, report: fleet_pb2.NodeReport) -> None:
        """Raises UnavailableError when the stream is over."""
        with _translated():
            await self._call.write(report)

    async def receive(self) -> fleet_pb2.DesiredState:
        """The next desired state. Raises UnavailableError when the stream is over."""
        with _translated():
            message = await self._call.read()
        if message is grpc.aio.EOF:
            with _translated():
                code, details = await self._call.code(), await self._call.details()
            raise errors.UnavailableError(f"the gateway ended the stream: {code.name} {details or ''}".rstrip())
        found: fleet_pb2.DesiredState = message
        return found


class Cloud:
    """`address` is the gateway's `host:port`."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, list(_OPTIONS))
        self._sync = self._channel.stream_stream(
            SERVICE + "Sync",
            request_serializer=fleet_pb2.NodeReport.SerializeToString,
            response_deserializer=fleet_pb2.DesiredState.FromString,
        )
        self._upload = self._channel.unary_unary(
            SERVICE + "Upload",
            request_serializer=fleet_pb2.UploadRequest.SerializeToString,
            response_deserializer=fleet_pb2.UploadReply.FromString,
        )

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """A Sync stream, cancelled when the block is left."""
        call = self._sync()
        try:
            yield Stream(call)
        finally:
            call.cancel()

    async def upload(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        """An `upload.Send`. Raises UnavailableError, or InputError: the gateway refuses this request as it is."""
        timeout_s = _UPLOAD_TIMEOUT_S + request.ByteSize() / _SLOWEST_BYTES_PER_S
        with _translated():
            reply: fleet_pb2.UploadReply = await self._upload(request, timeout=timeout_s)
        return reply

    async def close(self) -> None:
        await self._channel.close()


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        text = f"the gateway answered {exc.code().name}: {(exc.details() or '')[:500]}"
        raise (errors.InputError if exc.code() in _FAULTS else errors.UnavailableError)(text) from exc
    except (grpc.aio.UsageError, grpc.aio.InternalError) as exc:
        raise errors.UnavailableError(f"the stream to the gateway is over: {exc}") from exc
