"""A call of grpc.aio as our handlers see it (`methods.Call`).

Peer, deadline and metadata are read at the start: grpcio crashes when its context is asked after the end of the call,
and a handler may keep its call longer.
"""

import asyncio
import contextlib
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from skerry.rpc.methods import CallError, Status

CODES: Mapping[int, Any] = {code.value[0]: code for code in grpc.StatusCode}


class GrpcioCall:
    def __init__(self, method: str, context: Any, max_message_bytes: int) -> None:
        self._method, self._context, self._max_message_bytes = method, context, max_message_bytes
        self._loop = asyncio.get_running_loop()
        remaining_s = context.time_remaining()
        self._deadline = None if remaining_s is None else self._loop.time() + remaining_s
        _, _, self._peer_address = urllib.parse.unquote(context.peer()).partition(":")
        self._peer_pem = context.auth_context().get("x509_pem_cert")
        self._metadata = context.invocation_metadata() or ()
        self._initial: tuple[tuple[str, str | bytes], ...] | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self.ended = False

    @property
    def method(self) -> str:
        return self._method

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        metadata: dict[str, str | bytes] = {}
        for key, value in self._metadata:
            before = metadata.get(key)
            metadata[key] = before + ", " + value if isinstance(before, str) and isinstance(value, str) else value
        return metadata

    @property
    def deadline(self) -> float | None:
        return self._deadline

    @property
    def done(self) -> bool:
        expired = self._deadline is not None and self._loop.time() >= self._deadline
        answered = self._answer is not None and self._answer.done()
        return self.ended or answered or expired or bool(self._context.cancelled())

    @property
    def peer_address(self) -> str:
        return self._peer_address

    @property
    def peer_certificate(self) -> bytes | None:
        return ssl.PEM_cert_to_DER_cert(self._peer_pem[0].decode("ascii")) if self._peer_pem else None

    def reply(self, message: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def finish(self) -> None:
        self.reply(b"")

    def fail(self, status: Status, message: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CallError(status, message))

    async def read(self) -> bytes | None:
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def send(self, message: bytes) -> None:
        checked = self.checked(message)
        if self.ended:
            raise CallError(Status.CANCELLED, "the call has ended")
        try:
            await self.send_head()
            await self._context.write(checked)
        except (grpc.aio.BaseError, asyncio.InvalidStateError) as exc:  # it ended meanwhile
            raise CallError(Status.CANCELLED, "the call has ended") from exc

    def set_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        self._initial = tuple(metadata)

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        self._context.set_trailing_metadata(tuple(metadata))

    def compress(self) -> None:
        self._context.set_compression(grpc.Compression.Gzip)

    async def send_head(self) -> None:
        """Send the initial metadata that a handler set, once."""
        initial, self._initial = self._initial, None
        if initial is not None:
            await self._context.send_initial_metadata(initial)

    def checked(self, message: bytes) -> bytes:
        if len(message) > self._max_message_bytes:
            limit = self._max_message_bytes
            raise CallError(Status.RESOURCE_EXHAUSTED, f"reply of {len(message)} bytes exceeds the limit of {limit}")
        return message

    def answer(self) -> "asyncio.Future[bytes]":
        """Resolved by `reply`, `finish` or `fail`."""
        self._answer = self._loop.create_future()
        return self._answer

    async def abort(self, error: CallError) -> None:
        """End the call with a status, by the exception that grpc.aio expects of a handler."""
        with contextlib.suppress(grpc.aio.UsageError):  # the head was sent already
            await self.send_head()
        await self._context.abort(CODES.get(int(error.status), grpc.StatusCode.UNKNOWN), error.message)
