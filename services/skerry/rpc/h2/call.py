"""One gRPC call (`methods.Call`), from the bytes of its request to the trailers of its reply.

`Call` is a method that takes one message and runs when that is complete; `ReaderCall` a handler that reads a stream of
messages; `ReceiverCall` an object that gets them as they come. A batch method's call takes the short way: `received`,
`_complete`, `reply`. Assembly, tasks, timers and metadata begin only when they are needed. Everything that is held is
counted against the budget of the process, and a request that stops coming is given up.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from skerry.rpc.h2 import hpack, wire
from skerry.rpc.h2.assembly import PREFIX_BYTES, Assembly, read_prefix
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.refusal import OK_HEAD
from skerry.rpc.h2.routing import Request, Route
from skerry.rpc.h2.stream import Stream
from skerry.rpc.h2.turns import Turns
from skerry.rpc.methods import CallError, Kind, Message, Receiver, Status

_log = logging.getLogger("skerry.rpc")

NO_MESSAGES: deque[Message] = deque(maxlen=0)  # the inbox of every stream for which nothing waits
_GZIP_FIELD = hpack.encode([(b"grpc-encoding", b"gzip")])
_OK_TRAILERS = wire.trailers(Status.OK)


class Peer(Protocol):
    """What a call asks of the socket that it came by."""

    turns: Turns
    address: str
    writers: "list[Call]"  # calls that wait until the socket takes more

    @property
    def certificate(self) -> bytes | None: ...

    @property
    def is_full(self) -> bool: ...

    @property
    def waiting_bytes(self) -> int: ...

    def touch(self) -> None: ...

    def flush(self) -> None: ...


class Call(Stream):
    """Class attributes are the defaults: what a call does not need costs it no memory."""

    # The request
    deadline: float | None = None
    done = False
    _assembly: Assembly | None = None  # of a message that comes in parts
    _message: Message | None = None  # of a unary request whose END_STREAM has not come
    _inbox: deque[Message] | None = None  # of a method that takes a stream
    _held_bytes = 0  # of the process's budget, by `_message` and `_inbox`
    _give_up_at: float | None = None  # while the request is unfinished
    _timer: asyncio.TimerHandle | None = None
    _reader: "asyncio.Future[None] | None" = None
    # The reply
    _task: "asyncio.Task[None] | None" = None
    _writer: "asyncio.Future[None] | None" = None
    _initial = b""
    _trailing: wire.Metadata = ()
    _head_sent = False
    _gzip = False
    _is_plain = True  # none of the four above was touched

    def __init__(self, peer: Peer, connection: Connection, stream_id: int, request: Request, route: Route) -> None:
        # As Stream's, without the detour: every request pays for it.
        self.peer, self.connection, self.id, self.head, self.route = peer, connection, stream_id, request, route
        self.send_window = connection.peer_window_bytes
        self.receive_window = connection.limits.stream_window_bytes

    # ---- what a handler uses

    @property
    def method(self) -> str:
        return self.route.path

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        return self.route.metadata

    @property
    def peer_address(self) -> str:
        return self.peer.address

    @property
    def peer_certificate(self) -> bytes | None:
        return self.peer.certificate

    def reply(self, message: bytes) -> None:
        if self.done:
            return
        if len(message) > self.peer.turns.small_reply_bytes:
            try:
                self._check_reply(message)
            except CallError as error:
                self.fail(error.status, error.message)
                return
        if not self._is_plain:
            self._send_head()
            self.connection.send_data(self, self._framed(message))
            self._finish(Status.OK, "")
            return
        self._end()
        self.connection.send_reply(self, OK_HEAD, wire.framed(message), _OK_TRAILERS)
        self.peer.turns.touch(self.peer)

    def finish(self) -> None:
        raise NotImplementedError("only the call of a receiver ends without a reply")

    def fail(self, status: Status, message: str) -> None:
        if not self.done:
            self.connection.drop_unsent(self)
            self._finish(status, message)

    async def read(self) -> bytes | None:
        """The next message of a request stream; None after the last, or when the call has ended."""
        while not self._inbox:
            if self.remote_closed or self.done:
                return None
            self._reader = self.peer.turns.loop.create_future()
            await self._reader
        message = bytes(self._inbox.popleft())
        if not self._inbox:
            self._inbox = NO_MESSAGES
        self._release(len(message))
        if not self.remote_closed:
            self._grant_window()
        return message

    async def send(self, message: bytes) -> None:
        """Raises CallError when the call has ended, or when the peer takes nothing and too much waits for it."""
        if self.done:
            raise CallError(Status.CANCELLED, "the call has ended")
        self._check_reply(message)
        self._send_head()
        self.connection.send_data(self, self._framed(message))
        self.peer.touch()
        while not self.done and (self.pending or self.peer.is_full):
            self._writer = self.peer.turns.loop.create_future()
            if not self.pending:
                self.peer.writers.append(self)
            await self._writer

    def set_initial_metadata(self, metadata: wire.Metadata) -> None:
        self._initial, self._is_plain = wire.encode_metadata(metadata), False

    def set_trailing_metadata(self, metadata: wire.Metadata) -> None:
        wire.encode_metadata(metadata)  # what cannot be sent is the handler's mistake, here and now
        self._trailing, self._is_plain = tuple(metadata), False

    def compress(self) -> None:
        if not self._head_sent:  # the initial metadata promise the encoding
            self._gzip, self._is_plain = self.route.takes_gzip, False

    # ---- from the connection (`Stream`)

    def opened(self) -> None:
        timeout_s = self.head.timeout_s
        if timeout_s is not None:
            self.deadline = self.connection.now + timeout_s
            self.peer.turns.timed.append(self)

    def received(self, chunk: bytes | memoryview, end: bool) -> None:
        if self.done:
            return
        if end and self._inbox is None and self._assembly is None:
            if self._message is None:
                if self._is_whole(chunk):
                    self._complete(bytes(chunk[PREFIX_BYTES:]))
                    return
            elif not chunk:
                self._request_ended()
                return
        self._go_on(self._collect, chunk, end)

    def space(self) -> memoryview | None:
        return self._assembly.space if self._assembly is not None and not self.done else None

    def filled(self, size: int, end: bool) -> None:
        if not self.done:
            self._go_on(self._collect_filled, size, end)

    def _go_on(self, collect: Callable[[Any], None], given: Any, end: bool) -> None:
        try:
            collect(given)
            if end:
                self._request_ended()
            elif not self.done:
                self._grant_window()
        except CallError as error:
            self._give_up(error.status, error.message)

    def aborted(self, code: int) -> None:
        if not self.done:
            self._end()
        self._cancel_task()

    def drained(self) -> None:
        self.wake_writer()

    def sweep(self, now: float) -> None:
        unfinished = self._assembly is not None or self._inbox is None
        if self.done or self.remote_closed or not unfinished or self.receive_window <= 0:
            if self._give_up_at is not None:  # written only where it changes: a silent stream has no such attribute
                self._give_up_at = None
        elif self._give_up_at is None:
            self._give_up_at = now + self.connection.limits.stalled_s
        elif now > self._give_up_at:
            self._give_up(Status.DEADLINE_EXCEEDED, "the request did not come in time")

    # ---- from the turn and the socket

    def arm(self) -> None:
        """The call outlives the loop turn in which it came: from now on its deadline costs a timer."""
        if self.deadline is not None and not self.done:
            self._timer = self.peer.turns.loop.call_at(self.deadline, self.expire)

    def expire(self) -> None:
        self._give_up(Status.DEADLINE_EXCEEDED, "deadline exceeded")

    def wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # ---- the request: messages out of the body, what is unread, and what the peer may send

    def _complete(self, message: Message) -> None:
        """The only message of a unary request, with nothing after it."""
        if self.route.is_batch:
            self.peer.turns.enqueue(self.route.method.handler, self, message)
        else:
            self._start(message)

    def _is_whole(self, chunk: bytes | memoryview) -> bool:
        """An uncompressed message, exactly."""
        size = len(chunk) - PREFIX_BYTES
        return size >= 0 and read_prefix(chunk) == (0, size) and size <= self.connection.limits.max_message_bytes

    def _collect(self, chunk: bytes | memoryview) -> None:
        limits, budget = self.connection.limits, self.peer.turns.budget
        self._extend_patience(len(chunk))
        if self._assembly is None:
            if self._is_whole(chunk):
                self._take(bytes(chunk[PREFIX_BYTES:]))
                return
            announced = self.route.method.announced
            self._assembly = Assembly(limits.max_message_bytes, budget, self.route.encoding, announced)
        self._take_all(self._assembly.feed(chunk))

    def _collect_filled(self, size: int) -> None:
        assert self._assembly is not None
        self._extend_patience(size)
        self._take_all(self._assembly.filled(size))

    def _extend_patience(self, size: int) -> None:
        if self._give_up_at is not None:
            limits = self.connection.limits
            more_s = size / limits.slowest_bytes_per_s
            self._give_up_at = min(self.connection.now + limits.stalled_s, self._give_up_at + more_s)

    def _take_all(self, messages: list[Message]) -> None:
        takes_views = self.route.method.takes_views
        for message in messages:
            self._take(message if takes_views else bytes(message))
        if self._assembly is not None and not self._assembly.is_inside:
            self._assembly = None

    def _take(self, message: Message) -> None:
        """A message is complete: hold it until it is read, or until the request ends."""
        self.peer.turns.budget.take(len(message))
        self._held_bytes += len(message)
        if self._inbox is not None:
            if self._inbox is NO_MESSAGES:
                self._inbox = deque()
            self._inbox.append(message)
            self._wake_reader()
        elif self._message is not None:
            raise CallError(Status.INTERNAL, "a unary request has more than one message")
        else:
            self._message = message

    def _request_ended(self) -> None:
        if self._assembly is not None:
            raise CallError(Status.INTERNAL, "the request ends inside a message")
        if self._inbox is not None:
            self._stream_ended()
        elif self._message is None:
            raise CallError(Status.INTERNAL, "the request has no message")
        else:
            self._release(self._held_bytes)
            message, self._message = self._message, None
            self._complete(message)

    def _stream_ended(self) -> None:
        self._wake_reader()

    def _grant_window(self) -> None:
        """Let the peer send what we would hold: a window less what is unread, or the whole of an announced message."""
        window = self.connection.limits.stream_window_bytes
        wanted = window - self._held_bytes
        if not self._inbox and self._assembly is not None:
            wanted = max(wanted, self._assembly.missing_bytes)
        increment = wanted - self.receive_window
        if increment >= window >> 1 or self.receive_window <= 0 < increment:
            self.connection.grant(self, increment)
            self.peer.touch()

    def _release(self, size: int) -> None:
        self._held_bytes -= size
        self.peer.turns.budget.release(size)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # ---- the handler

    def _start(self, *message: Message) -> None:
        self._task = self.peer.turns.loop.create_task(self._run(self.route.method.handler, *message))

    async def _run(self, handler: Callable[..., Any], *message: Message) -> None:
        run: Callable[..., Awaitable[bytes | None]] = handler
        try:
            reply = await run(self, *message)
            if reply is not None:
                self.reply(reply)
            elif not self.done:
                self._send_head()
                self._finish(Status.OK, "")
        except CallError as error:
            self.fail(error.status, error.message)
        except asyncio.CancelledError:
            self.fail(Status.CANCELLED, "cancelled")
        except Exception:  # noqa: BLE001  # the last line between a handler and the wire
            self._fail_unexpectedly()
        finally:
            self._task = None

    def _fail_unexpectedly(self) -> None:
        """For `except` blocks: the handler has raised what it should not."""
        _log.exception("handler_failed", extra={"fields": {"method": self.method}})
        self.fail(Status.INTERNAL, "internal error")

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # ---- the reply

    def _check_reply(self, message: bytes) -> None:
        size, limits = len(message), self.connection.limits
        if size > limits.max_message_bytes:
            raise wire.too_large("reply", f"{size} bytes", limits.max_message_bytes)
        if size <= self.peer.turns.small_reply_bytes:
            return
        if self.peer.waiting_bytes and self.peer.waiting_bytes + size > limits.unsent_bytes:
            text = f"{limits.unsent_bytes} bytes of replies wait for you to read them"
            raise CallError(Status.RESOURCE_EXHAUSTED, text)

    def _framed(self, message: bytes) -> bytes:
        return wire.framed_gzip(message) if self._gzip else wire.framed(message)

    def _head_block(self) -> bytes:
        return OK_HEAD + (_GZIP_FIELD if self._gzip else b"") + self._initial

    def _send_head(self) -> None:
        if not self._head_sent:
            self._head_sent, self._is_plain = True, False
            self.connection.send_headers(self, self._head_block())

    def _finish(self, status: Status, message: str) -> None:
        self._end()
        block = wire.trailers(status, message, self._trailing)
        if self._head_sent:
            self.connection.send_end(self, block)
        else:
            self.connection.send_headers(self, self._head_block() + block, end=True)
        self.peer.touch()

    # ---- the end

    def _give_up(self, status: Status, message: str) -> None:
        """The request cannot be read, or its deadline has passed: fail the call and stop its handler."""
        self.fail(status, message)
        self._cancel_task()

    def _end(self) -> None:
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None or self._assembly is not None or self._held_bytes:
            self._release_request()
        if self._writer is not None:
            self.wake_writer()

    def _release_request(self) -> None:
        if self._assembly is not None:
            self._assembly.close()
            self._assembly = None
        if self._held_bytes:
            self._release(self._held_bytes)
            self._message = None
            if self._inbox:
                self._inbox.clear()
        self._wake_reader()


class ReaderCall(Call):
    """Of a handler that begins with the call and reads its messages."""

    _inbox = NO_MESSAGES

    def opened(self) -> None:
        super().opened()
        self._start()


class ReceiverCall(Call):
    """Messages go to the receiver as they come, so nothing of them is held, and the peer may always send on."""

    _inbox = NO_MESSAGES
    _receiver: Receiver | None = None

    def opened(self) -> None:
        # All that such a call comes to have: set at once it is kept in an array, set one by one in a dict of 400 bytes.
        self.done = self._head_sent = False
        self._is_plain, self._assembly, self._receiver = True, None, None
        super().opened()
        receiver = self._notify(self.route.method.handler, self)
        if not self.done:
            self._receiver = receiver
        elif receiver is not None:
            self._notify(receiver.closed)

    def finish(self) -> None:
        if not self.done:
            self._send_head()
            self._finish(Status.OK, "")

    def _take(self, message: Message) -> None:
        if self._receiver is not None:
            self._notify(self._receiver.received, message)

    def _stream_ended(self) -> None:
        if self._receiver is not None:
            self._notify(self._receiver.finished)

    def _end(self) -> None:
        super()._end()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._notify(receiver.closed)

    def _notify(self, callback: Callable[..., Any], *arguments: object) -> Any:
        try:
            return callback(*arguments)
        except CallError as error:
            self.fail(error.status, error.message)
        except Exception:  # noqa: BLE001  # the last line between a handler and the wire
            self._fail_unexpectedly()
        return None


def stream_call_type(route: Route) -> type[Call]:
    """Of a method that takes a stream of messages."""
    return ReceiverCall if route.method.kind is Kind.RECEIVER else ReaderCall
