"""One gRPC call (`methods.Call`): its handler, its deadline, and the reply's way to the wire.

A batch method's call is the short way: `complete`, `reply`. Tasks, timers and metadata begin only when they are needed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from skerry.rpc.h2 import hpack, wire
from skerry.rpc.h2.incoming import Incoming
from skerry.rpc.h2.refusal import OK_HEAD
from skerry.rpc.methods import CallError, Status

_log = logging.getLogger("skerry.rpc")

_GZIP_FIELD = hpack.encode([(b"grpc-encoding", b"gzip")])
_OK_TRAILERS = wire.trailers(Status.OK)


class Call(Incoming):
    deadline: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _task: "asyncio.Task[None] | None" = None
    _writer: "asyncio.Future[None] | None" = None
    _initial = b""
    _trailing: wire.Metadata = ()
    _head_sent = False
    _gzip = False
    _is_plain = True  # none of the four above was touched

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

    def set_initial_metadata(self, metadata: wire.Metadata) -> None:
        self._initial, self._is_plain = wire.encode_metadata(metadata), False

    def set_trailing_metadata(self, metadata: wire.Metadata) -> None:
        wire.encode_metadata(metadata)  # what cannot be sent is the handler's fault, here and now
        self._trailing, self._is_plain = tuple(metadata), False

    def compress(self) -> None:
        if not self._head_sent:  # the initial metadata promise the encoding
            self._gzip, self._is_plain = self.route.takes_gzip, False

    async def send(self, message: bytes) -> None:
        """Raises CallError when the call has ended, or when the peer takes nothing and too much waits for it."""
        if self.done:
            raise CallError(Status.CANCELLED, "the call has ended")
        self._check_reply(message)
        self._send_head()
        self.connection.send_data(self, self._framed(message))
        self.peer.touch()
        while not self.done and (self.pending or self.peer.is_full):
            self._writer = self.peer.server.loop.create_future()
            if not self.pending:
                self.peer.writers.append(self)
            await self._writer

    def reply(self, message: bytes) -> None:
        if self.done:
            return
        if len(message) > self.peer.server.small_reply_bytes:
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
        self.peer.server.touch(self.peer)

    def finish(self) -> None:
        raise NotImplementedError("only a stream that is told ends without a reply")

    def fail(self, status: Status, message: str) -> None:
        if not self.done:
            self.connection.drop_unsent(self)
            self._finish(status, message)

    # ---- from the connection

    def opened(self) -> None:
        timeout_s = self.head.timeout_s
        if timeout_s is not None:
            self.deadline = self.connection.now + timeout_s
            self.peer.server.timed.append(self)

    def complete(self, message: bytes) -> None:
        if self.route.is_batch:
            self.peer.server.enqueue(self, message)
        else:
            self._start(message)

    def give_up(self, status: Status, message: str) -> None:
        self.fail(status, message)
        self._cancel_task()

    def aborted(self, code: int) -> None:
        if not self.done:
            self._end()
        self._cancel_task()

    def drained(self) -> None:
        self.wake_writer()

    def arm(self) -> None:
        """The call outlives the loop turn in which it came: from now on its deadline costs a timer."""
        if self.deadline is not None and not self.done:
            self._timer = self.peer.server.loop.call_at(self.deadline, self.expire)

    def expire(self) -> None:
        self.give_up(Status.DEADLINE_EXCEEDED, "deadline exceeded")

    def wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # ---- the handler

    def _start(self, *message: bytes) -> None:
        self._task = self.peer.server.loop.create_task(self._run(self.route.method.handler, *message))

    async def _run(self, handler: Callable[..., Any], *message: bytes) -> None:
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
            self._broke()
        finally:
            self._task = None

    def _broke(self) -> None:
        """The handler has raised what it should not."""
        _log.exception("handler_failed", extra={"fields": {"method": self.method}})
        self.fail(Status.INTERNAL, "internal error")

    # ---- the reply

    def _check_reply(self, message: bytes) -> None:
        size, limits = len(message), self.connection.limits
        if size > limits.max_message_bytes:
            raise wire.too_large("reply", f"{size} bytes", limits.max_message_bytes)
        if size <= self.peer.server.small_reply_bytes:
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

    def _end(self) -> None:
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None or self._assembly is not None or self._held_bytes:
            self.release()
        if self._writer is not None:
            self.wake_writer()

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
