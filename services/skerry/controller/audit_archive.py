"""Moves old records of what people did from the object store to `audit/` in the blobs: written first, deleted then.

A controller that dies in between leaves records in both places. The next look may write some of them a second time, in
a blob of another name; their names tell that they are the same.
"""

import json

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.controller.store import Store
from skerry.core import audit, errors

log = logs.logger("controller")

FOLDER = "audit"
_AT_ONCE = 500  # records of one look, some 2 MB
_EVERY_MS = 3_600_000


class AuditArchive:
    """`keep_days`: how long a record stays an object."""

    def __init__(self, store: Store, blobs: Blobs, *, keep_days: int) -> None:
        self._store, self._blobs, self._keep_days = store, blobs, keep_days
        self._due_ms = 0

    def look(self, *, now_ms: int, mono_ms: int) -> None:
        """Once an hour, and again at once while there is more. Raises UnavailableError, ConflictError: what is left
        goes at the next look."""
        if mono_ms < self._due_ms:
            return
        first = self._store.first(audit.KIND, _AT_ONCE)
        old = set(audit.beyond([one.name for one in first], now_ms=now_ms, keep_days=self._keep_days))
        things = [one for one in first if one.name in old]
        if things:
            lines = [json.dumps(_archived(one), separators=(",", ":")) + "\n" for one in things]
            self._blobs.write(f"{FOLDER}/{things[0].name}.jsonl", "".join(lines).encode())
            for one in things:
                self._store.delete(one)
            log.info("audit_archived", records=len(things), path=f"{FOLDER}/{things[0].name}.jsonl")
        if len(things) < _AT_ONCE:
            self._due_ms = mono_ms + _EVERY_MS


def _archived(thing: Object) -> dict[str, object]:
    """One that cannot be read goes as it is."""
    try:
        return audit.archived(audit.parse(thing.name, thing.spec, thing.status))
    except errors.InputError:
        return {"name": thing.name, "spec": thing.spec, "status": thing.status}
