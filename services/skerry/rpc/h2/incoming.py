"""The request's half of a call: messages out of the body, what is unread, and what the peer may send.

A unary request that came as one frame never needs more than `received`. Everything that is held is counted against the
budget of the process, and a request that stops coming is given up.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from skerry.rpc.h2.assembly import PREFIX_BYTES, Assembly, read_prefix
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.routing import Request, Route
from skerry.rpc.h2.stream import Stream
from skerry.rpc.methods import CallError, Status

if TYPE_CHECKING:
    from skerry.rpc.h2.peer import Peer

NOTHING: deque[bytes] = deque(maxlen=0)  # the inbox of every stream for which nothing waits


class Incoming(Stream):
    """Class attributes are the defaults: what a call does not need costs it no memory."""

    done = False
    _assembly: Assembly | None = None
    _message: bytes | None = None  # a unary request whose END_STREAM has not come
    _inbox: deque[bytes] | None = None  # of a method that takes a stream
    _held_bytes = 0  # of the process's budget, by `_message` and `_inbox`
    _due: float | None = None  # when an unfinished request is given up
    _reader: "asyncio.Future[None] | None" = None

    def __init__(self, peer: "Peer", connection: Connection, stream_id: int, request: Request, route: Route) -> None:
        # As Stream's, without the detour: every request pays for it.
        self.peer, self.connection, self.id, self.head, self.route = peer, connection, stream_id, request, route
        self.send_window = connection.peer_window_bytes
        self.receive_window = connection.limits.stream_window_bytes

    def complete(self, message: bytes) -> None:
        """The only message of a unary request, with nothing after it."""
        raise NotImplementedError

    def give_up(self, status: Status, message: str) -> None:
        """The request cannot be read: fail the call and stop its handler."""
        raise NotImplementedError

    async def read(self) -> bytes | None:
        """The next message of a request stream; None after the last, or when the call has ended."""
        while not self._inbox:
            if self.remote_closed or self.done:
                return None
            self._reader = self.peer.server.loop.create_future()
            await self._reader
        message = self._inbox.popleft()
        if not self._inbox:
            self._inbox = NOTHING
        self._give(len(message))
        if not self.remote_closed:
            self._grant()
        return message

    def received(self, chunk: bytes, end: bool) -> None:
        if self.done:
            return
        if end and self._inbox is None and self._assembly is None:
            if self._message is None:
                if self._is_whole(chunk):
                    self.complete(chunk[PREFIX_BYTES:])
                    return
            elif not chunk:
                self._ended()
                return
        try:
            self._collect(chunk)
            if end:
                self._ended()
            elif not self.done:
                self._grant()
        except CallError as error:
            self.give_up(error.status, error.message)

    def sweep(self, now: float) -> None:
        unfinished = self._assembly is not None or self._inbox is None
        if self.done or self.remote_closed or not unfinished or self.receive_window <= 0:
            if self._due is not None:  # written only where it changes: a silent stream has no such attribute of its own
                self._due = None
        elif self._due is None:
            self._due = now + self.connection.limits.stalled_s
        elif now > self._due:
            self.give_up(Status.DEADLINE_EXCEEDED, "the request did not come in time")

    def release(self) -> None:
        """The call has ended: give back what it held."""
        if self._assembly is not None:
            self._assembly.close()
            self._assembly = None
        if self._held_bytes:
            self._give(self._held_bytes)
            self._message = None
            if self._inbox:
                self._inbox.clear()
        self._wake_reader()

    def _is_whole(self, chunk: bytes) -> bool:
        """An uncompressed message, exactly."""
        size = len(chunk) - PREFIX_BYTES
        return size >= 0 and read_prefix(chunk) == (0, size) and size <= self.connection.limits.max_message_bytes

    def _collect(self, chunk: bytes) -> None:
        limits, budget = self.connection.limits, self.peer.server.budget
        if self._due is not None:
            more_s = len(chunk) / limits.slowest_bytes_per_s
            self._due = min(self.connection.now + limits.stalled_s, self._due + more_s)
        if self._assembly is None:
            if self._is_whole(chunk):
                self._hold(chunk[PREFIX_BYTES:])
                return
            self._assembly = Assembly(limits.max_message_bytes, budget, self.route.encoding)
        for message in self._assembly.feed(chunk):
            self._hold(message)
        if self._assembly is not None and not self._assembly.is_inside:
            self._assembly = None

    def _hold(self, message: bytes) -> None:
        self.peer.server.budget.take(len(message))
        self._held_bytes += len(message)
        if self._inbox is not None:
            if self._inbox is NOTHING:
                self._inbox = deque()
            self._inbox.append(message)
            self._wake_reader()
        elif self._message is not None:
            raise CallError(Status.INTERNAL, "a unary request has more than one message")
        else:
            self._message = message

    def _ended(self) -> None:
        if self._assembly is not None:
            raise CallError(Status.INTERNAL, "the request ends inside a message")
        if self._inbox is not None:
            self._stream_ended()
        elif self._message is None:
            raise CallError(Status.INTERNAL, "the request has no message")
        else:
            self._give(self._held_bytes)
            message, self._message = self._message, None
            self.complete(message)

    def _stream_ended(self) -> None:
        self._wake_reader()

    def _grant(self) -> None:
        """Let the peer send what we would hold: a window less what is unread, or the whole of an announced message."""
        window = self.connection.limits.stream_window_bytes
        wanted = window - self._held_bytes
        if not self._inbox and self._assembly is not None:
            wanted = max(wanted, self._assembly.missing_bytes)
        increment = wanted - self.receive_window
        if increment >= window >> 1 or self.receive_window <= 0 < increment:
            self.connection.grant(self, increment)
            self.peer.touch()

    def _give(self, size: int) -> None:
        self._held_bytes -= size
        self.peer.server.budget.give(size)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
