"""What a transport needs to know of a gRPC method, and what a handler may do with a call. No service is named here.

Both transports (our HTTP/2 core in `rpc.h2`, and `rpc.grpcio_server`) serve the same `Method` tables and hand the same
`Call` to the handlers. Messages are bytes: protobuf belongs to the layers above.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skerry.rpc.unix_sockets import UnixAddress


class Status(enum.IntEnum):
    """gRPC status codes (https://grpc.io/docs/guides/status-codes/)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class CallError(Exception):
    """Ends the call with this status; the message goes to the peer, so it holds no internals."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Call(Protocol):
    """One call as a handler sees it. Deadlines are seconds of the event loop's monotonic clock."""

    @property
    def method(self) -> str: ...  # "/inference.GRPCInferenceService/ModelInfer"

    @property
    def metadata(self) -> Mapping[str, str | bytes]: ...

    # lower-case keys; `-bin` values are bytes. Text given twice under a key is joined by ", "; of bytes the last count.

    @property
    def deadline(self) -> float | None: ...  # loop.time() at which the caller gives up

    @property
    def done(self) -> bool: ...  # replied, failed, cancelled by the peer, or expired

    @property
    def peer_address(self) -> str: ...

    @property
    def peer_certificate(self) -> bytes | None: ...  # DER, only after a verified mTLS handshake

    # BATCH handlers end each call by `reply` or `fail`, at once or later; receivers by `finish` (OK) or `fail`:
    def reply(self, message: bytes) -> None: ...

    def finish(self) -> None: ...

    def fail(self, status: Status, message: str) -> None: ...

    # async handlers; receivers use `send` alone:
    async def read(self) -> bytes | None: ...  # the next request message; None after the last

    async def send(self, message: bytes) -> None: ...  # waits while the peer does not take it; CallError: it has ended

    def set_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None: ...

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None: ...

    def compress(self) -> None: ...  # gzip the replies if the caller takes that; before the first of them


class Receiver(Protocol):
    """How a RECEIVER method gets its stream: plain functions on the event loop, so that a silent stream is this object
    and its call, and no task, coroutine, queue or timer."""

    def received(self, message: bytes) -> None:
        """The next message. What it raises ends the call, as from an async handler."""
        ...

    def finished(self) -> None:
        """The caller has sent its last message: end the call, now or later."""
        ...

    def closed(self) -> None:
        """The call has ended, for whatever reason. Called once, and last."""
        ...


class Kind(enum.Enum):
    BATCH = (
        "batch"  # def f([(call, request)]): all calls that arrived in one loop turn; finish each by reply() or fail()
    )
    UNARY = "unary"  # async def f(call, request) -> bytes
    SERVER_STREAM = "server_stream"  # async def f(call, request) -> None
    CLIENT_STREAM = "client_stream"  # async def f(call) -> bytes
    BIDI = "bidi"  # async def f(call) -> None
    RECEIVER = "receiver"  # def f(call) -> Receiver: BIDI for thousands of streams that are mostly silent


Message = bytes | memoryview  # a view only where the method `takes_views`
BatchHandler = Callable[[Sequence[tuple[Call, Any]]], None]  # the second is a Message
AsyncHandler = Callable[..., Awaitable[Any]]
ReceiverHandler = Callable[..., Receiver]
Handler = BatchHandler | AsyncHandler | ReceiverHandler


# (how its bytes begin: none, some or all are there yet; its size): raises CallError for a message not worth reading
Announced = Callable[[bytes, int], None]


@dataclass(frozen=True, slots=True)
class Method:
    """`announced` is asked about each large message when its length is known (not on grpcio, which reads it first).
    `takes_views`: a large message may come as a read-only view, whose memory lives as long as the view does; without it
    each is copied once more, to be `bytes`."""

    kind: Kind
    handler: Handler
    announced: Announced | None = None
    takes_views: bool = False


Methods = Mapping[str, Method]  # full path -> method


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of PEM; read again when they change. `client_ca` set: a client certificate is required (mTLS).
    `modern`: TLS 1.3 or nothing (the grpcio transport cannot promise it). `chain`: certificates that complete the chain
    shown to clients, where `certificate` holds the leaf alone (not on grpcio)."""

    certificate: str
    key: str
    client_ca: str | None = None
    modern: bool = False
    chain: str | None = None


class Server(Protocol):
    async def listen(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Start to accept; returns the bound port. May be called for several listeners."""
        ...

    async def listen_unix(self, address: UnixAddress) -> None:
        """Start to accept on a Unix domain socket, in clear: `Call.peer_address` is then `unix:<user id>:<process id>`
        (of grpcio `unix:`). Raises UnavailableError for a path that is taken, UnsupportedError: the transport cannot
        tell users apart."""
        ...

    def hang_up(self, unwanted: Callable[[bytes], bool]) -> None:
        """End the connections whose client certificate (DER) is `unwanted`, and their calls. On grpcio nothing ends:
        handlers must refuse the calls of such a client as well."""
        ...

    async def drain(self, grace_s: float, linger_s: float = 0.0) -> None:
        """Take no new call, let running ones end for up to `grace_s`, then close. Before that, for `linger_s`, ask
        clients to go elsewhere while those that connect late, or again, are still served."""
        ...
