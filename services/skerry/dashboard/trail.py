"""What people did to one object, for its page: read by the object's label, and not again for some seconds, however many
pages follow live."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from skerry.adapters.objects import Objects
from skerry.core import audit, errors

SHOWN = 10
_KEPT_S = 10.0
_MAX_KEPT = 256  # objects whose pages are open


class Trail:
    """Raises UnavailableError when the objects cannot be read. `clock`: seconds that never go back."""

    def __init__(self, store: Objects, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock, self._lock = store, clock, threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Sequence[audit.Record]]] = OrderedDict()

    def of_all(self, things: Sequence[tuple[str, str]]) -> Sequence[audit.Record]:
        """Of several objects together: (kind, name)."""
        return audit.newest([one for kind, name in things for one in self.of(kind, name)], audit.Query(), SHOWN)

    def of(self, kind: str, name: str) -> Sequence[audit.Record]:
        """The newest, the newest first."""
        about, now_s = f"{kind}/{name}", self._clock()
        with self._lock:
            read_s, found = self._kept.get(about, (now_s - _KEPT_S, ()))
        if now_s - read_s < _KEPT_S:
            return found
        found = self._read(kind, name, about)
        with self._lock:
            self._kept[about] = now_s, found
            self._kept.move_to_end(about)
            if len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def _read(self, kind: str, name: str, about: str) -> Sequence[audit.Record]:
        parsed = []
        try:
            for thing in self._store.list(audit.KIND, label=audit.label(kind, name)):
                try:
                    parsed.append(audit.parse(thing.name, thing.spec, thing.status))
                except errors.InputError:
                    continue  # `skerry audit` tells of it
        except errors.NotFoundError:
            return ()  # a cluster whose chart skerry-crds is older
        return audit.newest(parsed, audit.Query(about), SHOWN)
