"""One socket: moves bytes between the event loop and a `Connection`, hangs up on those who do not read or answer."""

import asyncio
from typing import TYPE_CHECKING

from skerry.rpc.h2.call import Call
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.frames import Code
from skerry.rpc.h2.refusal import FailedCall, PlainAnswer
from skerry.rpc.h2.routing import Request
from skerry.rpc.h2.stream import Stream
from skerry.rpc.h2.streaming import call_of_stream

if TYPE_CHECKING:
    from skerry.rpc.h2.server import H2Server

_KEEPALIVE = b"skerry-k"
# How long who connects to a server that ends may stay. Told to go at once, grpcio's client (1.85) asks again in a loop
# without end, and in one of ten runs it aborted its process ("request.max() <= MemoryRequest::max_allowed_size()").
_STAY_S = 0.25
_FULL_BYTES = 256 << 10  # of DATA for one write: above it a handler that sends on waits for the next turn


class Peer(asyncio.BufferedProtocol):
    __slots__ = (
        "_closing_at",
        "_is_paused",
        "_pinged_at",
        "_socket_bytes",
        "_stuck_at",
        "address",
        "connection",
        "place",
        "server",
        "transport",
        "writers",
    )

    def __init__(self, server: "H2Server", address: str, place: str) -> None:
        """`place`: whom its connection is counted for."""
        self.server, self.address, self.place = server, address, place
        self.connection = Connection(server.limits, server.router, self._make_stream, server.time())
        self.transport: asyncio.Transport | None = None
        self.writers: list[Call] = []  # calls that wait to send on
        self._socket_bytes = 0  # in the transport's buffer while it is paused
        self._is_paused = False
        self._stuck_at = 0.0  # while paused: when the peer has taken too little for too long
        self._pinged_at: float | None = None
        self._closing_at: float | None = None

    def _make_stream(self, connection: Connection, stream_id: int, request: Request) -> Stream:
        route = request.route
        if route is not None:
            make = call_of_stream(route) if route.streams_in else Call
            return make(self, connection, stream_id, request, route)
        return (PlainAnswer if request.http_status else FailedCall)(connection, stream_id, request)

    # ---- used by calls

    @property
    def certificate(self) -> bytes | None:
        """DER, of a verified client; asked for by few, and held by the TLS library anyhow."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    @property
    def is_full(self) -> bool:
        return self._is_paused or self.connection.out_bytes > _FULL_BYTES

    @property
    def waiting_bytes(self) -> int:
        """Of replies that the peer has not taken."""
        connection = self.connection
        return connection.unsent_bytes + connection.out_bytes + self._socket_bytes

    def touch(self) -> None:
        """There may be something to send at the end of this loop turn."""
        self.server.touch(self)

    # ---- from the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # sockets are both ways
        self.transport = transport
        self.server.peers.add(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            transport.abort()
            return
        self.connection.heard_at = self.server.time()
        if self.server.parting:
            self.server.loop.call_later(_STAY_S, self.drain)
        self.touch()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.server.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.server.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        self._pinged_at = None
        self.connection.receive(data, self.server.time())
        self.server.received(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.lost()
        self.connection.out.clear()
        self.server.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read: stop reading from it, so that its requests cannot pile up replies here."""
        self._pinged_at = None
        self._is_paused, self._stuck_at = True, self.server.time() + self.server.limits.stalled_s
        if self.transport is not None and not self.transport.is_closing():
            self._socket_bytes = self.transport.get_write_buffer_size()
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused, self._socket_bytes = False, 0
        self.connection.heard_at = self.server.time()  # we did not listen meanwhile
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        self._wake_writers()

    # ---- from the server

    def flush(self) -> None:
        """The one write of this loop turn."""
        connection, transport = self.connection, self.transport
        if transport is None:
            return
        if connection.out:
            content = connection.take()
            transport.write(content)
            if self._is_paused:
                self._look(transport, len(content))
        if self.writers and not self._is_paused:
            self._wake_writers()
        if connection.closed or (connection.draining and not connection.streams):
            self._close(transport)

    def sweep(self, now: float) -> None:
        """Called about once a second."""
        limits, transport, connection = self.server.limits, self.transport, self.connection
        if transport is None:
            return
        if self._closing_at is not None:
            if now - self._closing_at > limits.handshake_s:
                transport.abort()
        elif self._is_paused:  # we do not read, so no PING could be answered
            self._look(transport, 0)
            if now > self._stuck_at:
                transport.abort()
        elif self._pinged_at is not None and now - self._pinged_at > limits.keepalive_timeout_s:
            transport.abort()
        else:
            connection.sweep(now)
            if self._pinged_at is None and now - connection.heard_at > limits.keepalive_s and connection.settled:
                self._pinged_at = now
                connection.ping(_KEEPALIVE)
            if connection.out or connection.closed:
                self.touch()

    def _look(self, transport: asyncio.Transport, written: int) -> None:
        """What the peer took from a full socket since we looked, after `written` bytes more: it extends its time."""
        size, limits = transport.get_write_buffer_size(), self.server.limits
        taken = max(0, self._socket_bytes + written - size)
        self._socket_bytes = size
        latest = self.server.time() + limits.stalled_s
        self._stuck_at = min(latest, self._stuck_at + taken / limits.slowest_bytes_per_s)

    def drain(self) -> None:
        if not (self.connection.closed or self.connection.leaving):
            self.connection.drain()
            self.touch()

    def end(self, why: str = "the server has stopped") -> None:
        """Hang up now; running calls are cancelled."""
        self.connection.shut(Code.NO_ERROR, why)
        self.flush()

    def _close(self, transport: asyncio.Transport) -> None:
        if self._closing_at is None:
            self._closing_at = self.server.time()
            transport.close()

    def _wake_writers(self) -> None:
        writers, self.writers = self.writers, []
        for call in writers:
            call.wake_writer()
