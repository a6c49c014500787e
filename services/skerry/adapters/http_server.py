"""HTTP for applications: uvicorn's protocol on sockets that are accepted and bounded here.

uvicorn waits for ever for the rest of a head, of a TLS handshake for a minute, and takes as many connections as come.
Here a head and a handshake have their time, a body and a reply may not stall, connections are counted, and where there
is no room the one without a request that has been there for longest makes it. Signals stay the process's own.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from skerry.adapters.telemetry import logs

log = logs.logger("http")
_BACKLOG = 1_024
_HEAD_S = 10.0  # a TLS handshake, and a head from its first byte (the first head: from the connection on)
_STALLED_S = 60.0  # without a byte of a body, or of a reply taken
_PAUSE_S = 0.1  # when there is no descriptor for another connection


class Places:
    """The connections of one listener. `waiting`: those without a request, in the order of their latest one, and how
    each is ended."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0
        self.waiting: dict[object, Callable[[], object]] = {}

    def take(self) -> bool:
        """Count one more, or say that there is no room."""
        if self.taken >= self._limit:
            longest = next(iter(self.waiting), None)
            if longest is None:
                return False
            self.waiting.pop(longest)()
        self.taken += 1
        return True

    def leave(self) -> None:
        self.taken -= 1


class Protocol(H11Protocol):
    """Tells the application whose certificate the connection was made with (`request.state.peer_certificate`, DER)."""

    places: Places
    _timer: asyncio.TimerHandle | None = None  # for what is to come from the peer
    _stalled: asyncio.TimerHandle | None = None  # while a reply waits for the peer to take it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # sockets are both ways
        connection = transport.get_extra_info("ssl_object")
        certificate = connection.getpeercert(binary_form=True) if connection is not None else None
        self.app_state = {**self.app_state, "peer_certificate": certificate}
        super().connection_made(transport)
        self.places.waiting[self] = transport.abort
        self._expect(_HEAD_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self.resume_writing()
        self.places.waiting.pop(self, None)
        self.places.leave()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(_STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _look(self) -> None:
        """What is to come next, and by when."""
        state = self.conn.their_state
        if state is h11.IDLE:
            self.places.waiting.setdefault(self, self.transport.abort)
            if self._timer is None and self.conn.trailing_data[0]:
                self._expect(_HEAD_S)
            return
        self.places.waiting.pop(self, None)
        self._expect(_STALLED_S if state is h11.SEND_BODY else None)

    def _expect(self, timeout_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if timeout_s is None else self.loop.call_later(timeout_s, self._is_late)

    def _is_late(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # it is us who do not read
            self._expect(_STALLED_S)
        else:
            self.transport.abort()


class Server(uvicorn.Server):
    """Of a configuration whose `http` is `Protocol`, with `connections` at most."""

    def __init__(self, config: uvicorn.Config, connections: int) -> None:
        super().__init__(config)
        self.places = Places(connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self.servers = [
            _Acceptor(listener, self._protocol, self)  # type: ignore[misc]  # what uvicorn asks of a server, it has
            for listener in sockets or ()
        ]

    def _protocol(self) -> Protocol:
        made = Protocol(self.config, self.server_state, self.lifespan.state)
        made.places = self.places
        return made


class _Acceptor:
    """To uvicorn it is a server of asyncio's."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], Protocol], server: Server) -> None:
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._listener, self._protocol, self._server = listener, protocol, server
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        for task in (self._accepting, *self._connecting):
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._accepting, *self._connecting, return_exceptions=True)

    async def _accept(self) -> None:
        loop, places = asyncio.get_running_loop(), self._server.places
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as exc:
                log.warning("cannot_accept", message=str(exc))
                await asyncio.sleep(_PAUSE_S)
                continue
            if not places.take():
                accepted.close()
                continue
            task = asyncio.create_task(self._connect(accepted))
            places.waiting[task] = task.cancel
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        places, context = self._server.places, self._server.config.ssl
        loop, protocol = asyncio.get_running_loop(), self._protocol()
        timeout: dict[str, Any] = {} if context is None else {"ssl_handshake_timeout": _HEAD_S}
        try:
            await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=context, **timeout)
        except (OSError, asyncio.CancelledError):  # no handshake, or not in time
            if not hasattr(protocol, "transport") or protocol.transport is None:
                accepted.close()
                places.leave()
        finally:
            places.waiting.pop(asyncio.current_task(), None)
