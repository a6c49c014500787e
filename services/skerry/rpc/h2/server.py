"""The server's loop turns: what arrived in one turn forms batches, then every touched connection writes once.

It also keeps the listeners, gives up what waits too long (once a second), and drains.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable

from skerry.core import errors
from skerry.rpc import tls as tls_module
from skerry.rpc.h2 import memory
from skerry.rpc.h2.admission import Admission
from skerry.rpc.h2.assembly import Budget
from skerry.rpc.h2.call import Call
from skerry.rpc.h2.listener import Listener
from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.polling import Polling
from skerry.rpc.h2.routing import Router
from skerry.rpc.h2.secured import Secured
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Handler, Methods, Status, Tls

_log = logging.getLogger("skerry.rpc")
_SWEEP_S = 1.0
_LOOKS = 3
_READ_BYTES = 128 << 10
_HANG_UP_S = 2.0
_SMALL_REPLY_BYTES = 16 << 10


class H2Server:
    """`methods.Server` over our own HTTP/2, on the running event loop."""

    def __init__(self, methods: Methods, limits: Limits) -> None:
        self.limits, self.loop = limits, asyncio.get_running_loop()
        self.time: Callable[[], float] = self.loop.time
        self.router = Router(methods, limits.max_metadata_bytes)
        self.budget = Budget(limits.unread_bytes)
        self.admission = Admission(limits)
        self.peers: set[Peer] = set()
        self.greeting: set[Secured] = set()  # who is not a peer yet
        # Replies up to this are not checked one by one: the number of streams bounds them.
        self.small_reply_bytes = min(_SMALL_REPLY_BYTES, limits.max_message_bytes)
        self.timed: list[Call] = []  # calls with a deadline that may yet end within this turn
        self._batches: dict[Handler, list[tuple[Call, bytes]]] = {}
        self._touched: set[Peer] = set()
        self._turn_due = False
        self._gathered = self._looks = 0  # calls of this turn so far, and how often it was put off for more
        self._polling = Polling(limits.poll_s)
        self._is_looking = False
        self._listeners: list[Listener] = []
        self.parting = False  # whoever connects is told to go elsewhere
        self._gone: asyncio.Future[None] | None = None
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)
        self.read_buffer = memoryview(bytearray(_READ_BYTES))  # of all peers: what was read is copied out at once
        memory.return_large_blocks()

    @property
    def open_calls(self) -> int:
        return sum(len(peer.connection.streams) for peer in self.peers)

    # ---- used by peers and calls

    def touch(self, peer: Peer) -> None:
        self._touched.add(peer)
        if not self._turn_due:
            self._turn_due = True
            self.loop.call_soon(self._turn)

    def received(self, peer: Peer) -> None:
        """As `touch`, of bytes that came. While the loop polls for one caller nobody else is there to be gathered."""
        if self._is_looking and not self._turn_due:
            self._turn_due = True
            self._touched.add(peer)
            self._turn()
        else:
            self.touch(peer)

    def enqueue(self, call: Call, message: bytes) -> None:
        """For the batch of this turn. The turn is due already, for the call's bytes have just come."""
        self._batches.setdefault(call.route.method.handler, []).append((call, message))

    def forget(self, peer: Peer) -> None:
        """Its socket is gone."""
        self.admission.leave(peer.place)
        self.peers.discard(peer)
        self._touched.discard(peer)
        if self._gone is not None and not self.peers and not self._gone.done():
            self._gone.set_result(None)

    # ---- a turn

    def _turn(self) -> None:
        """Until its end the turn stays due: replies that its handlers give need no turn of their own."""
        if self._is_growing():
            self.loop.call_soon(self._turn)  # before that the loop reads its sockets once more
            return
        self._polling.turn_begins(self._touched, time.monotonic())
        try:
            self._answer()
        finally:
            self._turn_due = False
            touched, self._touched = self._touched, set()
            for peer in touched:
                peer.flush()
            self._polling.turn_ended(time.monotonic())
            if not self._is_looking:
                self._look()

    def _look(self) -> None:
        """While polling goes on, the loop reads its sockets between one call of this and the next, without a sleep."""
        self._is_looking = not self._turn_due and self._polling.goes_on(time.monotonic())
        if self._is_looking:
            os.sched_yield()  # who shares our core goes first: it may be the caller
            self.loop.call_soon(self._look)

    def _is_growing(self) -> bool:
        """Of several callers some ask again while the others' requests are read: one batch costs less than two. Without
        waiting, and a few times at most."""
        calls = sum(map(len, self._batches.values()))
        grows = calls > max(1, self._gathered) and self._looks < _LOOKS
        self._gathered, self._looks = (calls, self._looks + 1) if grows else (0, 0)
        return grows

    def _answer(self) -> None:
        timed = self.timed
        if timed:
            self.timed, now = [], self.time()
            for call in timed:
                if call.deadline is not None and call.deadline <= now:
                    call.expire()
        if self._batches:
            batches, self._batches = self._batches, {}
            for handler, batch in batches.items():
                self._run_batch(handler, [item for item in batch if not item[0].done])
        for call in timed:
            if not call.done:
                call.arm()

    def _run_batch(self, handler: Handler, batch: list[tuple[Call, bytes]]) -> None:
        try:
            if batch:
                handler(batch)
        except Exception:  # noqa: BLE001  # the last line between a handler and the wire
            _log.exception("batch_handler_failed", extra={"fields": {"method": batch[0][0].method}})
            for call, _ in batch:
                call.fail(Status.INTERNAL, "internal error")

    # ---- life

    async def listen(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Start to accept; returns the bound port. Raises UnavailableError for a taken address or unfit files."""
        certificates = tls_module.Renewal(tls, tls_module.context) if tls else None
        try:
            listener = Listener(self, host, port, certificates)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
        self._listeners.append(listener)
        listener.start()
        return listener.port

    def hang_up(self, unwanted: Callable[[bytes], bool]) -> None:
        """End the connections whose client certificate (DER) is `unwanted`, and their calls, waiting for nobody."""
        for peer in tuple(self.peers):
            if peer.certificate is not None and unwanted(peer.certificate) and peer.transport is not None:
                peer.end("this certificate is not taken any more")
                peer.transport.abort()

    async def drain(self, grace_s: float, linger_s: float = 0.0) -> None:
        """Tell every connection to go elsewhere, for `linger_s` also each one that still comes in; then take no new
        call, let running ones end for up to `grace_s`, and hang up.

        Whoever has gone and was sent here again is served what it asks before it hears that: a door that is closed
        while addresses of it are still given out would cost a call.
        """
        if linger_s > 0:
            self._part()
            await asyncio.sleep(linger_s)
        for listener in self._listeners:
            await listener.close()
        for secured in tuple(self.greeting):
            secured.abort()
        self._part()
        await self._until_gone(grace_s)
        for peer in tuple(self.peers):
            peer.end()
        await self._until_gone(_HANG_UP_S)
        for peer in tuple(self.peers):
            if peer.transport is not None:
                peer.transport.abort()
        self._sweeper.cancel()

    def _part(self) -> None:
        self.parting = True
        for peer in tuple(self.peers):
            peer.drain()

    async def _until_gone(self, timeout_s: float) -> None:
        if self.peers:
            self._gone = self.loop.create_future()
            await asyncio.wait([self._gone], timeout=timeout_s)
            self._gone = None

    def _sweep(self) -> None:
        now = self.time()
        full = self.open_calls >= self.limits.max_calls
        for peer in tuple(self.peers):
            peer.connection.refusing = full
            peer.sweep(now)
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)
