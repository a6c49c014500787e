"""One socket: moves bytes between the event loop and a `Connection`, hangs up on clients that do not read or answer."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from skerry.rpc.h2.admission import Admission
from skerry.rpc.h2.call import Call, stream_call_type
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.frames import Code
from skerry.rpc.h2.phase import Phase
from skerry.rpc.h2.refusal import FailedCall, PlainAnswer
from skerry.rpc.h2.routing import Request, Router
from skerry.rpc.h2.stream import Stream
from skerry.rpc.h2.turns import Turns

_KEEPALIVE = b"skerry-k"
_OPEN = Phase.OPEN
# How long a client that is routed back to a lingering server is served before its GOAWAY. After a GOAWAY at once
# grpcio's client (1.85) connects again in a loop without end, and in one of ten runs it aborted its process
# ("request.max() <= MemoryRequest::max_allowed_size()").
_SERVED_BEFORE_GOAWAY_S = 0.25
_FULL_BYTES = 256 << 10  # of DATA for one write: above it a handler that sends on waits for the next turn


class Peer(asyncio.BufferedProtocol):
    __slots__ = (
        "_closing_at",
        "_is_in_place",
        "_is_paused",
        "_pinged_at",
        "_socket_bytes",
        "_stuck_at",
        "address",
        "connection",
        "peers",
        "place",
        "transport",
        "turns",
        "writers",
    )

    def __init__(self, peers: "Peers", address: str, place: str) -> None:
        """`place`: what its connection is counted for (see `admission`)."""
        self.peers, self.turns, self.address, self.place = peers, peers.turns, address, place
        self.connection = Connection(self.turns.limits, peers.router, self._make_stream, self.turns.time())
        self.transport: asyncio.Transport | None = None
        self.writers: list[Call] = []  # calls that wait to send on
        self._is_in_place = False  # what is read now goes where it belongs
        self._socket_bytes = 0  # in the transport's buffer while it is paused
        self._is_paused = False
        self._stuck_at = 0.0  # while paused: when the peer has taken too little for too long
        self._pinged_at: float | None = None
        self._closing_at: float | None = None

    # ---- used by calls

    @property
    def certificate(self) -> bytes | None:
        """DER, of a verified client; asked for by few, and held by the TLS library anyhow."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport else None
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
        self.turns.touch(self)

    # ---- from the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # sockets are both ways
        self.transport = transport
        self.peers.add(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            transport.abort()
            return
        self.connection.heard_at = self.turns.time()
        if self.peers.is_lingering:
            self.turns.loop.call_later(_SERVED_BEFORE_GOAWAY_S, self.drain)
        self.touch()

    def get_buffer(self, sizehint: int) -> memoryview:
        space = self.connection.space() if self.connection.flow is not None else None
        self._is_in_place = space is not None
        return space or self.turns.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_in_place:
            self.filled(nbytes)
        else:
            self.data_received(bytes(self.turns.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        self._pinged_at = None
        self.connection.receive(data, self.turns.time())
        self.turns.received(self)

    def filled(self, size: int) -> None:
        self._pinged_at = None
        self.connection.filled(size, self.turns.time())
        if self.connection.out or self.connection.flow is None:  # else there is nothing to do before more comes
            self.turns.received(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.lost()
        self.connection.out.clear()
        self.turns.forget(self)
        self.peers.discard(self)
        self.leave_place()

    def pause_writing(self) -> None:
        """The peer does not read: stop reading from it, so that its requests cannot pile up replies here."""
        self._pinged_at = None
        self._is_paused, self._stuck_at = True, self.turns.time() + self.turns.limits.stalled_s
        if self.transport is not None and not self.transport.is_closing():
            self._socket_bytes = self.transport.get_write_buffer_size()
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused, self._socket_bytes = False, 0
        self.connection.heard_at = self.turns.time()  # we did not listen meanwhile
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
                self._extend_stuck_at(transport, len(content))
        if self.writers and not self._is_paused:
            self._wake_writers()
        if connection.phase is not _OPEN and connection.is_over:
            self._close(transport)

    def sweep(self, now: float) -> None:
        """Called about once a second."""
        limits, transport, connection = self.turns.limits, self.transport, self.connection
        if transport is None:
            return
        if self._closing_at is not None:
            if now - self._closing_at > limits.handshake_s:
                transport.abort()
        elif self._is_paused:  # we do not read, so no PING could be answered
            self._extend_stuck_at(transport, 0)
            if now > self._stuck_at:
                transport.abort()
        elif self._pinged_at is not None and now - self._pinged_at > limits.keepalive_timeout_s:
            transport.abort()
        else:
            connection.sweep(now)
            is_silent = now - connection.heard_at > limits.keepalive_s and not connection.is_handshaking
            if is_silent and self._pinged_at is None:
                self._pinged_at = now
                connection.ping(_KEEPALIVE)
            if connection.out or connection.closed:
                self.touch()

    def drain(self) -> None:
        """Ask the peer to go elsewhere; what it has asked already is served."""
        self.connection.drain()
        if self.connection.out:
            self.touch()

    def end(self, why: str = "the server has stopped") -> None:
        """Hang up now; running calls are cancelled."""
        self.connection.shut(Code.NO_ERROR, why)
        self.flush()

    def abort(self) -> None:
        """Hang up without another word."""
        if self.transport is not None:
            self.transport.abort()

    def leave_place(self) -> None:
        """Its connection counts no more."""
        self.peers.arriving.pop(self, None)
        self.peers.admission.leave(self.place)

    def _make_stream(self, connection: Connection, stream_id: int, request: Request) -> Stream:
        route = request.route
        if route is not None:
            make = stream_call_type(route) if route.streams_in else Call
            return make(self, connection, stream_id, request, route)
        return (PlainAnswer if request.http_status else FailedCall)(connection, stream_id, request)

    def _extend_stuck_at(self, transport: asyncio.Transport, written: int) -> None:
        """By what the peer took from a full socket since the last time, after `written` bytes more."""
        size, limits = transport.get_write_buffer_size(), self.turns.limits
        taken = max(0, self._socket_bytes + written - size)
        self._socket_bytes = size
        latest = self.turns.time() + limits.stalled_s
        self._stuck_at = min(latest, self._stuck_at + taken / limits.slowest_bytes_per_s)

    def _close(self, transport: asyncio.Transport) -> None:
        if self._closing_at is None:
            self._closing_at = self.turns.time()
            transport.close()

    def _wake_writers(self) -> None:
        writers, self.writers = self.writers, []
        for call in writers:
            call.wake_writer()


class Arriving(Protocol):
    """What a socket talks to while its handshake goes on: the peer, or TLS before it."""

    transport: asyncio.Transport | None

    def abort(self) -> None: ...


class Peers:
    """All connections of a server, and what they have in common."""

    def __init__(self, turns: Turns, router: Router) -> None:
        self.turns, self.router = turns, router
        self.admission = Admission(turns.limits)
        self.is_lingering = False  # clients that connect now are served, and soon asked to go elsewhere
        self.arriving: dict[Peer, Arriving] = {}  # connections whose handshake goes on, in the order in which they came
        self._open: set[Peer] = set()
        self._all_gone: asyncio.Future[None] | None = None

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def open_calls(self) -> int:
        return sum(len(peer.connection.streams) for peer in self._open)

    def admit(self, place: str) -> bool:
        """Count one more connection of `place`. Where there is no room, one whose handshake goes on for longer than any
        other's makes it: half connections keep nobody out, for an honest one is complete within moments."""
        admission = self.admission
        if admission.enter(place):
            return True
        of_place = admission.is_full_for(place)
        for peer, protocol in tuple(self.arriving.items()):
            if not peer.connection.is_handshaking:
                del self.arriving[peer]
            elif protocol.transport is not None and (not of_place or peer.place == place):
                del self.arriving[peer]
                admission.enter_beside(place)
                protocol.abort()
                return True
        return False

    def add(self, peer: Peer) -> None:
        self._open.add(peer)

    def discard(self, peer: Peer) -> None:
        self._open.discard(peer)
        if self._all_gone is not None and not self._open and not self._all_gone.done():
            self._all_gone.set_result(None)

    def drain(self) -> None:
        """Ask them all to go elsewhere, from now on also each one that connects."""
        self.is_lingering = True
        for peer in tuple(self._open):
            peer.drain()

    async def until_gone(self, timeout_s: float) -> None:
        if self._open:
            self._all_gone = self.turns.loop.create_future()
            await asyncio.wait([self._all_gone], timeout=timeout_s)
            self._all_gone = None

    def sweep(self, now: float) -> None:
        """To be called about once a second."""
        for peer in [peer for peer in self.arriving if not peer.connection.is_handshaking]:
            del self.arriving[peer]
        self.turns.budget.blocks.sweep()
        is_full = self.open_calls >= self.turns.limits.max_calls
        for peer in tuple(self._open):
            peer.connection.refusing = is_full
            peer.sweep(now)
