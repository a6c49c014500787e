"""The node's one connection to its gateway: the long-lived Sync stream and uploads share a channel.

With an identity it is TLS with the node's certificate; when that was renewed, the next stream opens another channel.

Only skerry's errors come out. A link that went silent is found by a ping a minute, an interval that gRPC servers take
without complaint while a stream is open. An attempt to connect may last `_CONNECT_S`: a gateway that thousands come
back to at once needs some seconds for the handshake, and over a link that was cut the system asks again in that time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import grpc

from skerry.adapters import cancellation, proxies
from skerry.core import contract, errors, identity
from skerry.proto import fleet_pb2

_UPLOAD_TIMEOUT_S = 30.0
_CONNECT_S = 10.0  # as long as a gateway waits for a handshake
_GRACE_S = 5.0  # what runs on a channel that is given up may end by itself
_SLOWEST_BYTES_PER_S = 4096  # a link of 64 kbit/s that the rest of the node uses too still gets a whole request through
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", contract.MAX_FLEET_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", contract.MAX_FLEET_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # our own back-off decides; the channel must be ready when it ends
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
)
# All others: try again. The first two: it will never take this request as it is; the third: another process holds this
# node's name.
_KINDS: Mapping[grpc.StatusCode, type[errors.SkerryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InputError,
    grpc.StatusCode.OUT_OF_RANGE: errors.InputError,
    grpc.StatusCode.ALREADY_EXISTS: errors.ConflictError,
}


class Stream:
    """An open Sync stream. Sending and receiving may go on at the same time."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, report: fleet_pb2.NodeReport) -> None:
        """Raises UnavailableError when the stream is over."""
        with _translated():
            await self._call.write(report)

    async def receive(self) -> fleet_pb2.DesiredState:
        """The next desired state. Raises UnavailableError when the stream is over, ConflictError when another process
        holds this node's name."""
        with _translated():
            message = await self._call.read()
        if message is grpc.aio.EOF:
            with _translated():
                code, details = await self._call.code(), await self._call.details()
            raise errors.UnavailableError(f"the gateway ended the stream: {code.name} {details or ''}".rstrip())
        desired: fleet_pb2.DesiredState = message
        return desired


class Identity(Protocol):
    """The node's certificate. `credentials` raises UnavailableError while there is none."""

    def credentials(self) -> grpc.ChannelCredentials: ...


class GatewayClient:
    """`address` is the gateway's `host:port`. `identity` None: in clear. `connect_s`: how long one attempt to connect
    may last, handshakes included."""

    def __init__(self, address: str, identity: Identity | None = None, *, connect_s: float = _CONNECT_S) -> None:
        self._address, self._identity, self._connect_ms = address, identity, int(1000 * connect_s)
        self._channel: grpc.aio.Channel | None = None
        self._retired: set[asyncio.Task[None]] = set()

    def renewed(self) -> None:
        """There is another certificate: end what runs with the old one; the next call connects again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            closing = asyncio.get_running_loop().create_task(channel.close(grace=_GRACE_S))
            self._retired.add(closing)
            closing.add_done_callback(self._retired.discard)

    def _open(self) -> None:
        """Raises UnavailableError while this node may not connect."""
        if self._channel is not None:
            return
        # In gRPC's core this option is the time that an attempt to connect gets, whatever its name says.
        options = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", self._connect_ms), *proxies.grpc_options(self._address)]
        if self._identity is None:
            self._channel = grpc.aio.insecure_channel(self._address, options)
        else:
            self._channel = grpc.aio.secure_channel(self._address, self._identity.credentials(), options)
        self._sync = self._channel.stream_stream(
            contract.SYNC,
            request_serializer=fleet_pb2.NodeReport.SerializeToString,
            response_deserializer=fleet_pb2.DesiredState.FromString,
        )
        self._upload = self._channel.unary_unary(
            contract.UPLOAD,
            request_serializer=fleet_pb2.UploadRequest.SerializeToString,
            response_deserializer=fleet_pb2.UploadReply.FromString,
        )

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """A Sync stream, cancelled when the block is left."""
        self._open()
        call = self._sync()
        try:
            yield Stream(call)
        finally:
            call.cancel()

    async def upload(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        """An `uploader.Send`. Raises UnavailableError, or InputError: the gateway refuses this request as it is."""
        timeout_s = _UPLOAD_TIMEOUT_S + request.ByteSize() / _SLOWEST_BYTES_PER_S
        self._open()
        with _translated():
            reply: fleet_pb2.UploadReply = await self._upload(request, timeout=timeout_s)
        return reply

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        details = exc.details() or ""
        text = f"the gateway answered {exc.code().name}: {details[:500]}{identity.hint(details)}"
        raise _KINDS.get(exc.code(), errors.UnavailableError)(text) from exc
    # InvalidStateError: the gateway ended the stream a moment before this message.
    except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError) as exc:
        raise errors.UnavailableError(f"the stream to the gateway is over: {exc}") from exc
    except asyncio.CancelledError as exc:
        if cancellation.is_requested():
            raise
        raise errors.UnavailableError("the channel to the gateway was given up for a new one") from exc
