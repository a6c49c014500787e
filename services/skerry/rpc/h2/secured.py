"""TLS between a socket and a peer: protocol of the one, transport of the other.

It replaces the event loop's own, which costs 7 KB more for each connection and keeps its buffers, hundreds of KB after
a large message. Here what comes is read into the server's one buffer, and both ways pass the TLS library in slices of a
record, so that nothing grows that a connection holds.
"""

import asyncio
import contextlib
import ssl
from typing import Any

from skerry.rpc.h2.peer import Peer

_RECORD_BYTES = 16 << 10  # of plain text, RFC 8446 §5.1


class Secured(asyncio.BufferedProtocol):
    """The peer gets its `connection_made` when the handshake is complete."""

    __slots__ = ("_handshake_timer", "_handshaking", "_incoming", "_outgoing", "_peer", "_tls", "_turns", "transport")

    def __init__(self, peer: Peer, context: ssl.SSLContext, handshaking: "set[Secured]") -> None:
        """`handshaking`: holds this while its handshake goes on."""
        self._peer, self._turns, self._handshaking = peer, peer.turns, handshaking
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.transport: asyncio.Transport | None = None
        self._handshake_timer: asyncio.TimerHandle | None = None  # while the handshake goes on

    # ---- from the socket

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # sockets are both ways
        self.transport = transport
        self._handshake_timer = self._turns.loop.call_later(self._turns.limits.handshake_s, self.abort)
        self._handshaking.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._turns.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._handshake_timer is not None or nbytes > _RECORD_BYTES:
            self._take_in(nbytes)
            return
        self._incoming.write(self._turns.read_buffer[:nbytes])
        self._ended_or_flushed(self._decrypt())

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        if self._handshake_timer is None:
            self._peer.pause_writing()

    def resume_writing(self) -> None:
        if self._handshake_timer is None:
            self._peer.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handshake_timer is None:
            self._peer.connection_lost(exc)
        else:
            self._handshake_ends()
            self._peer.leave_place()

    # ---- what a peer asks of its transport

    def write(self, content: bytes) -> None:
        if self.transport is None:
            return
        try:
            if len(content) <= _RECORD_BYTES:
                self._tls.write(content)
                self.transport.write(self._outgoing.read())
                return
            for at in range(0, len(content), _RECORD_BYTES):
                self._tls.write(content[at : at + _RECORD_BYTES])
                self.transport.write(self._outgoing.read())
        except ssl.SSLError:
            return  # we have sent close_notify

    def close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(ssl.SSLError):  # the other side has not sent close_notify
                self._tls.unwrap()
            self._flush()
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def is_closing(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    def get_extra_info(self, name: str) -> Any:
        return self._tls if name == "ssl_object" else None

    # ---- TLS

    def _take_in(self, nbytes: int) -> None:
        """A step of the handshake, or more than a record."""
        goes_on = True
        for at in range(0, nbytes, _RECORD_BYTES):
            self._incoming.write(self._turns.read_buffer[at : min(at + _RECORD_BYTES, nbytes)])
            if self._handshake_timer is not None:
                goes_on = self._shake_hands()
            if goes_on and self._handshake_timer is None:
                goes_on = self._decrypt()
            if not goes_on:
                break
        self._ended_or_flushed(goes_on)

    def _shake_hands(self) -> bool:
        """Go on with the handshake. False when it has failed: no TLS, an old version, or a certificate not trusted."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        self._flush()
        self._handshake_ends()
        self._peer.connection_made(self)  # type: ignore[arg-type]  # it has what a peer uses
        return True

    def _handshake_ends(self) -> None:
        assert self._handshake_timer is not None
        self._handshake_timer.cancel()
        self._handshake_timer = None
        self._handshaking.discard(self)

    def _decrypt(self) -> bool:
        """Pass on the records that are complete. False when there will be no more: the peer sent close_notify, or no
        TLS."""
        peer, tls, incoming = self._peer, self._tls, self._incoming
        try:
            while incoming.pending:
                space = peer.connection.space() if peer.connection.flow is not None else None  # for a record at least
                if space is None:
                    content = tls.read(_RECORD_BYTES)  # all of a record: the library keeps nothing back
                    if not content:
                        return False
                    peer.data_received(content)
                    continue
                size: Any = tls.read(len(space), space)  # into it: how many bytes, though its type says otherwise
                if not size:
                    return False
                peer.filled(size)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        return True

    def _ended_or_flushed(self, goes_on: bool) -> None:
        self._flush()
        if not goes_on:
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending and self.transport is not None:
            self.transport.write(self._outgoing.read())
