"""How people's intents are written, for the command line and the dashboard alike.

Read, ask `core.intents`, write down what is about to be done (`core.audit`), do it against what was read, write down
what it came to. Where the object was written meanwhile, the act is decided again on what it is now, and carried out
only if what it rests on is the same: an act is never decided anew in silence, and none is done that no record tells of.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs
from skerry.core import audit, errors, intents, writers

_TRIES = 5
_NOTHING: Mapping[str, Any] = {}
_log = logs.logger("acts")


def known(thing: Object) -> intents.Known:
    return intents.Known(thing.name, thing.spec, thing.status, thing.labels)


class Acts:
    """What one person does on one object store, and why (`reason`). `clock`: wall time in Unix ms."""

    def __init__(
        self,
        store: Objects,
        actor: audit.Actor,
        reason: str = "",
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._actor, self._reason, self._clock = store, actor, reason, clock

    def create(self, creation: intents.Creation, action: str = "create") -> Object:
        """Raises ConflictError where the name is taken."""
        with self._recorded(action, creation.kind, creation.name) as record:
            record.begin(after=creation.spec)
            return self._store.create(creation.kind, creation.name, creation.spec, manager=writers.OPERATOR)

    def change(
        self, action: str, kind: str, name: str, intent: Callable[[intents.Known], intents.Patch]
    ) -> intents.Patch:
        """Write an intent on an object. Raises ConflictError where somebody else changed what it was decided on."""
        first: intents.Patch | None = None
        with self._recorded(action, kind, name) as record:
            for _ in range(_TRIES):
                thing = self._store.get(kind, name)
                patch = intent(known(thing))
                first = first or patch
                intents.still(first, patch)
                before = {key: thing.spec.get(key) for key in patch.spec}
                record.begin(seen=patch.seen, before=before, after=patch.spec)
                with contextlib.suppress(errors.ConflictError):
                    self._store.patch(
                        kind, name, manager=writers.OPERATOR, spec=patch.spec, resource_version=thing.resource_version
                    )
                    return patch
            raise _busy(kind, name)

    def delete(
        self, kind: str, name: str, intent: Callable[[intents.Known], intents.Deletion], action: str = "delete"
    ) -> None:
        """Delete an object, if `intent` lets it be as it is when it is deleted."""
        with self._recorded(action, kind, name) as record:
            for _ in range(_TRIES):
                thing = self._store.get(kind, name)
                intent(known(thing))
                record.begin(before=thing.spec)
                with contextlib.suppress(errors.ConflictError):
                    self._store.delete(kind, name, resource_version=thing.resource_version)
                    return
            raise _busy(kind, name)

    @contextlib.contextmanager
    def _recorded(self, action: str, kind: str, name: str) -> Iterator["_Record"]:
        """An act with its record. What ends it without an answer (a signal, a bug) leaves its outcome open."""
        record = _Record(self._store, self._clock, self._actor, self._reason, (action, kind, name))
        try:
            yield record
        except errors.ConflictError as exc:
            told = errors.ConflictError(f"{exc}{self._who_else(record, kind, name)}")
            record.refused(told)
            raise told from exc
        except errors.SkerryError as exc:
            record.refused(exc)
            raise
        record.end(None)

    def _who_else(self, record: "_Record", kind: str, name: str) -> str:
        """Who did something to the object last; empty where no record tells."""
        with contextlib.suppress(errors.SkerryError):
            about = self._store.list(audit.KIND, label=audit.label(kind, name))
            found = [one for one in about if one.name != record.name]
            parsed = [audit.parse(one.name, one.spec, one.status) for one in found]
            for last in audit.newest(parsed, audit.Query(f"{kind}/{name}", outcome=audit.APPLIED), 1):
                return f" (the last act on it: {last.action}, by {last.actor.by or 'somebody'})"
        return ""


class _Record:
    def __init__(
        self, store: Objects, clock: Callable[[], int], actor: audit.Actor, reason: str, act: tuple[str, str, str]
    ) -> None:
        self._store, self._clock, self._actor, self._reason, self._act = store, clock, actor, reason, act
        self.name = ""  # once it is written
        self._is_begun = False

    def begin(
        self,
        *,
        seen: Mapping[str, Any] = _NOTHING,
        before: Mapping[str, Any] = _NOTHING,
        after: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """Once. Raises UnavailableError: what cannot be written down is not done."""
        if self._is_begun:
            return
        self._is_begun = True
        now_ms = self._clock()
        name = audit.name(now_ms, secrets.token_hex(4))
        spec = audit.spec(
            self._actor, *self._act, at_unix_ms=now_ms, reason=self._reason, seen=seen, before=before, after=after
        )
        try:
            labels = dict([audit.label(*self._act[1:])])
            self._store.create(audit.KIND, name, spec, manager=writers.OPERATOR, labels=labels)
        except errors.NotFoundError as exc:
            raise errors.UnavailableError(
                f"nothing was done: what is done is written down first, and this cluster has no {audit.KIND}. Upgrade "
                f"the chart skerry-crds ({exc})"
            ) from exc
        self.name = name

    def refused(self, error: errors.SkerryError) -> None:
        """It came to nothing, perhaps before anything was decided."""
        self.begin()
        if self.name:
            self.end(error)

    def end(self, error: errors.SkerryError | None) -> None:
        outcome, message = audit.outcome_of(error)
        try:
            status = audit.status(outcome, message, self._clock())
            self._store.patch(audit.KIND, self.name, manager=writers.OPERATOR, status=status)
        except errors.SkerryError as exc:  # what was done is done; that it is not known is what the record says
            _log.warning("outcome_not_written", record=self.name, outcome=outcome, message=str(exc))


def _busy(kind: str, name: str) -> errors.UnavailableError:
    return errors.UnavailableError(f"{kind} {name} is changed by others all the time; nothing was done: try again")
