"""Whose calls the listener for edges takes: nodes that are on the gateway's list now; a certificate alone is not
enough.

The list is read every two seconds. What was read last stands for five minutes in which nothing can be read: a gateway
that is restarted stops nobody. Then, and before the first list, nobody is let in: an edge answers by itself meanwhile,
so that closing costs quality and never an answer, while staying open would undo every revocation just when something is
wrong.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from skerry.adapters import pki
from skerry.adapters.telemetry import logs
from skerry.core import allowlist, errors
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Server, Status

LOOK_S = 2.0
PATIENCE_S = 300.0
_LAST_WORD_S = 0.1  # in which clients whose streams end receive the reason
_REMEMBERED = 20_000  # certificates that need not be parsed again

ResultT = TypeVar("ResultT")
log = logs.logger("teacher")


class Page(Protocol):
    """Where the list is."""

    def changed(self) -> frozenset[str] | None:
        """The list, or None while it is the one that was read last. Raises UnavailableError."""
        ...


class Allowlist:
    """The list as it was read last. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: frozenset[str] | None = None
        self._read_at_s = clock()
        self._streams: dict[asyncio.Task[Any], bytes] = {}

    def update(self, entries: frozenset[str] | None) -> None:
        """The list was read; None: it is the same."""
        self._read_at_s = self._clock()
        if entries is not None:
            self._entries = entries

    @property
    def age_s(self) -> float:
        """Since the list was read last, or since the start."""
        return self._clock() - self._read_at_s

    def is_stranger(self, certificate: bytes) -> bool:
        """The list is allowed, and the holder of this certificate is not on it."""
        return self._entries is not None and _entry(certificate) not in self._entries

    def check(self, certificate: bytes | None) -> None:
        """Raises CallError unless the holder of this verified certificate is let in now."""
        if certificate is None:
            raise CallError(Status.UNAUTHENTICATED, "a client certificate is needed: enrol this node")
        if self._entries is None or self.age_s > PATIENCE_S:
            raise CallError(Status.UNAVAILABLE, "the gateway has not said lately which nodes may ask: nobody may")
        if self.is_stranger(certificate):
            raise CallError(
                Status.PERMISSION_DENIED, "this node is not let in: revoked, not allowed, or allowed with another key"
            )

    @contextlib.contextmanager
    def streaming(self, call: Call) -> Iterator[None]:
        """While a stream's handler runs: it ends as soon as its caller is not let in any more."""
        certificate, task = call.peer_certificate, asyncio.current_task()
        self.check(certificate)
        assert certificate is not None and task is not None
        self._streams[task] = certificate
        try:
            yield
        except asyncio.CancelledError:
            self.check(certificate)
            raise
        finally:
            del self._streams[task]

    def review(self) -> None:
        """End the streams of those who are not let in any more."""
        for task, certificate in tuple(self._streams.items()):
            try:
                self.check(certificate)
            except CallError:
                task.cancel()


def guarded(methods: Methods, allowed: Allowlist) -> Methods:
    """The same methods, for nodes on the list."""
    return {path: replace(method, handler=_guarded(method, allowed)) for path, method in methods.items()}


def _guarded(method: Method, allowed: Allowlist) -> Callable[..., Any]:
    run: Callable[..., Any] = method.handler

    def batch(calls: list[tuple[Call, bytes]]) -> None:
        admitted = []
        for call, request in calls:
            try:
                allowed.check(call.peer_certificate)
                admitted.append((call, request))
            except CallError as error:
                call.fail(error.status, error.message)
        if admitted:
            run(admitted)

    async def unary(call: Call, request: bytes) -> Any:
        allowed.check(call.peer_certificate)
        return await run(call, request)

    async def stream(call: Call, *request: bytes) -> Any:
        with allowed.streaming(call):
            return await run(call, *request)

    if method.kind is Kind.BATCH:
        return batch
    return unary if method.kind is Kind.UNARY else stream


@contextlib.asynccontextmanager
async def followed(page: Page, allowed: Allowlist, server: Server) -> AsyncIterator[None]:
    """Read the list until the block is left, and end what is open on `server` to those who are not on it."""
    following = asyncio.create_task(_follow(page, allowed, server))
    try:
        yield
    finally:
        following.cancel()


async def _follow(page: Page, allowed: Allowlist, server: Server) -> None:
    is_lost = False
    while True:
        try:
            allowed.update(await _on_daemon_thread(page.changed))
            if is_lost:
                log.info("members_found")
            is_lost = False
        except errors.UnavailableError as exc:
            if not is_lost:
                log.warning("members_lost", message=str(exc))
            is_lost = True
        except Exception:  # the loop's last line: a list that is read no more closes the listener
            log.exception("members_broken")
        allowed.review()
        await asyncio.sleep(_LAST_WORD_S)
        server.hang_up(allowed.is_stranger)
        await asyncio.sleep(LOOK_S)


async def _on_daemon_thread(call: Callable[[], ResultT]) -> ResultT:
    """What `call` returns, from a thread that does not keep an ending process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[ResultT] = loop.create_future()

    def settle(put: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            put(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (done.set_result, call())
        except Exception as exc:  # noqa: BLE001  # raised where it is waited for
            outcome = (done.set_exception, exc)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="members", daemon=True).start()
    return await done


@functools.lru_cache(maxsize=_REMEMBERED)
def _entry(certificate: bytes) -> str:
    """The holder's line in the list; for a certificate that names no node, one that is on no list."""
    try:
        peer = pki.peer_of(certificate)
    except errors.InputError:
        return ""
    return allowlist.entry_of(peer.id, peer.key)
