"""The webhook of the leader: derives what is to be told when objects change, and sends it by a thread of its own, so
that a receiver that is slow or away holds up no tick.

What was told is written down in a blob after the receiver took it. A controller that dies in between tells it again,
with the same id: each event is delivered at least once. What does not fit into the queue stays untold, and is derived
again when there is room. Where nothing was written down yet, what has happened before is not told.
"""

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry.metrics import Metrics
from skerry.controller.store import Store
from skerry.core import backoff, contract, errors, webhook_events, webhook_message
from skerry.core.webhook_events import Event, NodeAlarm

log = logs.logger("controller")

MAX_WAITING = 1000
GIVE_UP_S = 3 * 86_400.0  # an event that nobody took for so long is dropped, and counted
_MAX_TOLD_BYTES = 16 << 20
_BASE_S, _CAP_S = 1.0, 300.0
_DERIVED = {"ModelRollout": webhook_events.of_rollout, "TrainingRun": webhook_events.of_run}


class Posts(Protocol):
    def post(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises RejectedError, UnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """`uid`: of the object that it is about, or of the installation; `since_s`: monotonic."""

    uid: str
    event: Event
    since_s: float


class Webhook:
    """`look` is the tick's, `send_one` the sender's. `share` of the nodes must be offline to be told of."""

    def __init__(
        self,
        poster: Posts,
        secret: bytes,
        blobs: Blobs,
        share: float,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poster, self._secret, self._blobs, self._share = poster, secret, blobs, share
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._told: dict[str, list[str]] | None = None  # by uid; None: not read yet
        self._alarm = self._alarm_told = NodeAlarm()
        self._installation = ""
        self._has_more = False  # something did not fit
        self._uids: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {"delivered": 0, "failed": 0, "given_up": 0}

    def start(self) -> None:
        threading.Thread(target=self._run, name="webhook", daemon=True).start()

    def register(self, families: Metrics) -> None:
        families.total(
            "skerry_webhook_attempts_total",
            "Attempts to deliver an event: delivered, failed (tried again), or given up after three days.",
            ("outcome",),
            lambda: {(outcome,): float(count) for outcome, count in self._counts.items()},
        )
        families.gauge("skerry_webhook_waiting", "Events that wait.", (), lambda: {(): float(len(self._waiting))})

    def look(self, store: Store, touched: Iterable[tuple[str, str]], states: Mapping[str, int] | None) -> None:
        """What changed since the last look. Raises UnavailableError while it cannot be read what was told before."""
        with self._lock:
            if self._told is None:
                self._has_more = True  # what changes until it is known is derived then
                self._begin(store)
            if self._has_more and len(self._waiting) < MAX_WAITING // 2:
                self._has_more = False
                touched = [*touched, *((kind, one.name) for kind in _DERIVED for one in store.list(kind))]
            for kind, name in touched:
                if kind in _DERIVED:
                    self._take(kind, name, store.find(kind, name))
            if states is not None:
                self._take_nodes(states)
            self._lock.notify()

    def send_one(self) -> bool:
        """Deliver the event that waits the longest; False when none does. Raises RejectedError, UnavailableError."""
        with self._lock:
            if not self._waiting:
                return False
            first = self._waiting[0]
        event, body = first.event, webhook_message.body(first.event)
        if self._monotonic() - first.since_s > GIVE_UP_S:
            log.error("webhook_given_up", id=event.id, type=event.type)
            self._counts["given_up"] += 1
        else:
            try:
                self._poster.post(webhook_message.headers(event, body, self._secret, self._clock() // 1000), body)
            except errors.SkerryError:
                self._counts["failed"] += 1
                raise
            self._counts["delivered"] += 1
        with self._lock:
            self._waiting.popleft()
            self._note(first)
            document = self._document()
        self._blobs.write(contract.WEBHOOK_TOLD, document)
        return True

    def _note(self, told: "_Waiting") -> None:
        """That it was told; of an object that went meanwhile nothing is kept."""
        if told.uid == self._installation:
            self._alarm_told = replace(self._alarm_told, is_on=told.event.type == webhook_events.NODES_OFFLINE)
            if self._alarm_told.is_on:
                self._alarm_told = replace(self._alarm_told, number=self._alarm_told.number + 1)
        elif self._told is not None and told.uid in self._uids.values():
            self._told.setdefault(told.uid, []).append(told.event.id)

    def _run(self) -> None:
        attempt, complained = 0, ""
        while True:
            try:
                if not self.send_one():
                    with self._lock:
                        self._lock.wait(timeout=5.0)
                attempt, complained = 0, ""
            except errors.SkerryError as exc:
                if str(exc) != complained:
                    log.warning("webhook_failed", message=str(exc))
                complained = str(exc)
                time.sleep(backoff.delay_s(attempt, base_s=_BASE_S, cap_s=_CAP_S, u=0.5))
                attempt += 1

    def _begin(self, store: Store) -> None:
        """What earlier leaders told; where there were none, all that has happened until now."""
        try:
            known = json.loads(self._blobs.read(contract.WEBHOOK_TOLD, max_bytes=_MAX_TOLD_BYTES))
            told = {str(uid): [str(one) for one in ids] for uid, ids in known["told"].items()}
            alarm = NodeAlarm(int(known["nodes"]["number"]), bool(known["nodes"]["is_on"]))
            self._installation, self._alarm, self._alarm_told = str(known["installation"]), alarm, alarm
            there = {thing.uid for kind in _DERIVED for thing in store.list(kind)}
            self._told = {uid: ids for uid, ids in told.items() if uid in there}
            return
        except errors.NotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            log.error("webhook_told_unreadable", message=f"{contract.WEBHOOK_TOLD}: {exc}; what is past is not told")
        self._installation = uuid.uuid4().hex
        self._told = {
            thing.uid: [event.id for event in _derived(kind, thing)] for kind in _DERIVED for thing in store.list(kind)
        }
        self._blobs.write(contract.WEBHOOK_TOLD, self._document())

    def _take(self, kind: str, name: str, thing: Object | None) -> None:
        assert self._told is not None
        before = self._uids.get((kind, name))
        if thing is None or (before is not None and before != thing.uid):
            self._told.pop(before or "", None)  # what is gone is told of no more
        if thing is None:
            self._uids.pop((kind, name), None)
            return
        self._uids[kind, name] = thing.uid
        events = list(_derived(kind, thing))
        ids = {event.id for event in events}
        # Of an attempt that is over nothing can be derived again.
        told = [one for one in self._told.get(thing.uid, ()) if one in ids]
        if told or thing.uid in self._told:
            self._told[thing.uid] = told
        waiting = {one.event.id for one in self._waiting}
        for event in events:
            if event.id not in waiting and event.id not in told:
                self._put(thing.uid, event)

    def _take_nodes(self, states: Mapping[str, int]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            return
        self._alarm, event = webhook_events.of_nodes(
            self._alarm, states, self._share, self._installation, self._clock()
        )
        if event is not None:
            self._put(self._installation, event)

    def _put(self, uid: str, event: Event) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._has_more = True
        else:
            self._waiting.append(_Waiting(uid, event, self._monotonic()))

    def _document(self) -> bytes:
        document = {"installation": self._installation, "told": self._told or {}, "nodes": asdict(self._alarm_told)}
        return json.dumps(document).encode()


def _derived(kind: str, thing: Object) -> Iterator[Event]:
    return _DERIVED[kind](thing.uid, thing.name, thing.spec, thing.status)


def opened(url: str, secret: str, allow: str, share: float, blobs: Blobs) -> Webhook:
    """Raises InputError naming the setting."""
    from skerry.adapters.webhook import Poster

    poster = Poster(webhook_message.target(url), webhook_message.networks(allow))
    return Webhook(poster, webhook_message.key(secret), blobs, share)
