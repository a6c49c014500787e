"""A small world for the transports: methods of every kind, a server on a loop of its own thread, certificates.

Clients in the tests are blocking ones of others, so the server runs beside them.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import certificates
import uvloop

from skerry import rpc
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status, Tls

SERVICE = "/test.Echo/"


@dataclass
class Seen:
    """What the handlers saw, for assertions."""

    batches: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    receivers: list["Summing"] = field(default_factory=list)


class Summing:
    """A receiver that replies with the size of all messages when the caller has said the last one."""

    def __init__(self, call: Call) -> None:
        self.call, self.size, self.ends = call, 0, 0

    def received(self, message: bytes) -> None:
        assert not self.ends
        self.size += len(message)
        if message == b"fail":
            raise CallError(Status.FAILED_PRECONDITION, "you said fail")
        if message == b"raise":
            raise RuntimeError("a secret")

    def finished(self) -> None:
        self._answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        with contextlib.suppress(CallError):  # the call has ended meanwhile
            await self.call.send(b"%d" % self.size)
            self.call.finish()

    def closed(self) -> None:
        self.ends += 1


def methods(seen: Seen) -> Methods:
    """Batch, Same, Sleep, Raise, Fail, Count, Sum, Talk, Receive, About, Gzip, Never under /test.Echo/."""

    def batch(calls: Sequence[tuple[Call, bytes]]) -> None:
        seen.batches.append(len(calls))
        for call, request in calls:
            if request == b"fail":
                call.fail(Status.INVALID_ARGUMENT, "you said fail")
            else:
                call.reply(request)

    def batch_raises(_calls: Sequence[tuple[Call, bytes]]) -> None:
        raise RuntimeError("a secret")

    def never(calls: Sequence[tuple[Call, bytes]]) -> None:
        seen.calls += [call for call, _ in calls]

    async def same(call: Call, request: bytes) -> bytes:
        seen.calls.append(call)
        return request

    async def sleep(call: Call, _request: bytes) -> bytes:
        seen.calls.append(call)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.cancelled.append(call.method)
            raise
        return b""

    async def raises(_call: Call, _request: bytes) -> bytes:
        raise RuntimeError("a secret")

    async def fail(call: Call, request: bytes) -> bytes:
        call.set_trailing_metadata([("x-why", "asked"), ("x-why-bin", b"\x00\xff")])
        raise CallError(Status.FAILED_PRECONDITION, request.decode())

    async def count(call: Call, request: bytes) -> None:
        for number in range(int(request)):
            await call.send(b"%d" % number)

    async def large(call: Call, request: bytes) -> None:
        for _ in range(int(request)):
            await call.send(bytes(1 << 20))

    async def total(call: Call) -> bytes:
        size = 0
        while (message := await call.read()) is not None:
            size += len(message)
        return b"%d" % size

    async def talk(call: Call) -> None:
        while (message := await call.read()) is not None:
            await call.send(message)

    def receive(call: Call) -> Summing:
        if call.metadata.get("x-refuse"):
            raise CallError(Status.PERMISSION_DENIED, "not you")
        seen.receivers.append(Summing(call))
        return seen.receivers[-1]

    async def about(call: Call, _request: bytes) -> bytes:
        seen.calls.append(call)
        call.set_initial_metadata([("x-initial", "first"), ("x-initial-bin", bytes(range(256)))])
        call.set_trailing_metadata([("x-last-bin", b"\x00\x01")])
        return repr(sorted(call.metadata.items())).encode()

    async def gzip(call: Call, request: bytes) -> bytes:
        call.compress()
        return request

    async def reply_of(_call: Call, request: bytes) -> bytes:
        return bytes(int(request))

    table = {
        "Batch": Method(Kind.BATCH, batch),
        "BatchRaises": Method(Kind.BATCH, batch_raises),
        "Never": Method(Kind.BATCH, never),
        "Same": Method(Kind.UNARY, same),
        "Sleep": Method(Kind.UNARY, sleep),
        "Raise": Method(Kind.UNARY, raises),
        "Fail": Method(Kind.UNARY, fail),
        "Count": Method(Kind.SERVER_STREAM, count),
        "Large": Method(Kind.SERVER_STREAM, large),
        "Sum": Method(Kind.CLIENT_STREAM, total),
        "Talk": Method(Kind.BIDI, talk),
        "Receive": Method(Kind.RECEIVER, receive),
        "About": Method(Kind.UNARY, about),
        "Gzip": Method(Kind.UNARY, gzip),
        "ReplyOf": Method(Kind.UNARY, reply_of),
    }
    return {SERVICE + name: method for name, method in table.items()}


@dataclass
class Running:
    """A server in a thread. `ask` runs a coroutine function there."""

    loop: asyncio.AbstractEventLoop
    server: Any
    port: int
    tls_port: int
    seen: Seen

    def ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)


@contextlib.contextmanager
def serving(
    transport: str,
    *,
    loop: str = "uvloop",
    tls: Tls | None = None,
    table: Methods | None = None,
    max_message_bytes: int = 20 << 20,
    **limits: Any,
) -> Iterator[Running]:
    """A server of `methods` (or `table`) on 127.0.0.1: clear, and with `tls` a second port for that."""
    seen = Seen()
    made = uvloop.new_event_loop() if loop == "uvloop" else asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    try:
        chosen = methods(seen) if table is None else table
        running = Running(made, None, 0, 0, seen)

        async def start() -> None:
            running.server = rpc.open_server(
                transport, chosen, max_message_bytes=max_message_bytes, limits=Limits(**limits)
            )
            running.port = await running.server.listen("127.0.0.1", 0)
            if tls is not None:
                running.tls_port = await running.server.listen("127.0.0.1", 0, tls)

        running.ask(start)
        try:
            yield running
        finally:
            running.ask(lambda: running.server.drain(0))
    finally:
        made.call_soon_threadsafe(made.stop)
        thread.join(10)
        made.close()


def until(condition: Callable[[], Any], turns: int = 1_000) -> None:
    """Poll up to ten seconds."""
    pause = threading.Event()
    for _ in range(turns):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in time")


class Authority(certificates.Authority):
    """That of a server which speaks TLS, mutual when the clients' certificates come from it too."""

    def tls(self, name: str = "server", *, mutual: bool = False) -> Tls:
        certificate, key = self.issue(name)
        return Tls(certificate, key, str(self.path) if mutual else None)
