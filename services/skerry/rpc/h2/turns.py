"""Turns of the event loop: what arrived in one turn forms batches, then every touched connection writes once.

The one object that peers, calls and listeners share. Of them it knows only what the two protocols below say: a peer is
flushed, a call expires or arms its timer.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Protocol

from skerry.rpc import methods
from skerry.rpc.h2.assembly import Budget
from skerry.rpc.h2.polling import Polling
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Handler, Status

_log = logging.getLogger("skerry.rpc")
_MOST_DEFERRALS = 3
_READ_BYTES = 128 << 10
_SMALL_REPLY_BYTES = 16 << 10


class Peer(Protocol):
    def flush(self) -> None:
        """Write what there is: the one write of this turn."""
        ...


class Call(methods.Call, Protocol):
    def expire(self) -> None:
        """Its deadline has passed."""
        ...

    def arm(self) -> None:
        """It outlives its first turn: its deadline needs a timer."""
        ...


class Turns:
    """On the running event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.loop = limits, asyncio.get_running_loop()
        self.time: Callable[[], float] = self.loop.time
        self.budget = Budget(limits.unread_bytes)
        # Replies up to this are not checked one by one: the number of streams bounds them.
        self.small_reply_bytes = min(_SMALL_REPLY_BYTES, limits.max_message_bytes)
        self.read_buffer = memoryview(bytearray(_READ_BYTES))  # of all peers: what was read is copied out at once
        self.timed: list[Call] = []  # calls with a deadline that may yet end within this turn
        self._batches: dict[Handler, list[tuple[Call, methods.Message]]] = {}
        self._touched: set[Peer] = set()
        self._is_due = False
        self._gathered_calls = self._deferrals = 0  # of this turn so far: it was put off for more calls
        self._polling = Polling(limits.poll_s)
        self._is_polling = False

    def touch(self, peer: Peer) -> None:
        """The peer may have something to write at the end of this turn."""
        self._touched.add(peer)
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._turn)

    def received(self, peer: Peer) -> None:
        """As `touch`, after bytes came. While the loop polls for one caller there is no other caller to batch with."""
        if self._is_polling and not self._is_due:
            self._is_due = True
            self._touched.add(peer)
            self._turn()
        else:
            self.touch(peer)

    def enqueue(self, handler: Handler, call: Call, message: methods.Message) -> None:
        """For the batch of this turn. The turn is due already, for the call's bytes have just come."""
        self._batches.setdefault(handler, []).append((call, message))

    def forget(self, peer: Peer) -> None:
        """Its socket is gone."""
        self._touched.discard(peer)

    def _turn(self) -> None:
        """Until its end the turn stays due: replies that its handlers give need no turn of their own."""
        if self._is_growing():
            self.loop.call_soon(self._turn)  # before that the loop reads its sockets once more
            return
        self._polling.turn_begins(self._touched, time.monotonic())
        try:
            self._run_handlers()
        finally:
            self._is_due = False
            touched, self._touched = self._touched, set()
            for peer in touched:
                peer.flush()
            self._polling.turn_ended(time.monotonic())
            if not self._is_polling:
                self._poll()

    def _is_growing(self) -> bool:
        """Of several callers some ask again while the others' requests are read: one batch costs less than two. Without
        waiting, and a few times at most."""
        calls = sum(map(len, self._batches.values()))
        grows = calls > max(1, self._gathered_calls) and self._deferrals < _MOST_DEFERRALS
        self._gathered_calls, self._deferrals = (calls, self._deferrals + 1) if grows else (0, 0)
        return grows

    def _run_handlers(self) -> None:
        timed = self.timed
        if timed:
            self.timed, now = [], self.time()
            for call in timed:
                if call.deadline is not None and call.deadline <= now:
                    call.expire()
        if self._batches:
            batches, self._batches = self._batches, {}
            for handler, batch in batches.items():
                _run_batch(handler, [item for item in batch if not item[0].done])
        for call in timed:
            if not call.done:
                call.arm()

    def _poll(self) -> None:
        """While polling goes on, the loop reads its sockets between one call of this and the next, without a sleep."""
        self._is_polling = not self._is_due and self._polling.goes_on(time.monotonic())
        if self._is_polling:
            os.sched_yield()  # another process on our core runs first: it may be the caller
            self.loop.call_soon(self._poll)


def _run_batch(handler: Handler, batch: list[tuple[Call, methods.Message]]) -> None:
    try:
        if batch:
            handler(batch)
    except Exception:  # noqa: BLE001  # the last line between a handler and the wire
        _log.exception("batch_handler_failed", extra={"fields": {"method": batch[0][0].method}})
        for call, _ in batch:
            call.fail(Status.INTERNAL, "internal error")
