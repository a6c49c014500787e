"""The erasures that stand, as the watch saw them: what no upload brings back, and what each node is told to remove."""

import contextlib
from collections.abc import Mapping, Sequence

from skerry.adapters.objects.protocol import Change
from skerry.adapters.telemetry import logs
from skerry.core import digests, erasures, errors
from skerry.proto import fleet_pb2

_MAX_RETIRED = 256

_log = logs.logger("gateway")


class StandingErasures:
    """Changes are applied on one thread; `rules` may be asked from any: it is replaced as a whole."""

    def __init__(self) -> None:
        self.rules = erasures.Rules()
        self.number = 0  # nodes that carried out what they were told have done all up to it
        self.retired: Sequence[str] = ()
        self._standing: dict[str, erasures.Erasure] = {}
        self._retired: dict[str, Sequence[str]] = {}

    def apply(self, change: Change) -> bool:
        """Take in one Erasure; True when nodes must hear of it."""
        thing = change.object
        before = self._standing.get(thing.name), self._retired.get(thing.name)
        if change.deleted:
            self._standing.pop(thing.name, None)
            self._retired.pop(thing.name, None)
        else:
            try:
                self._standing[thing.name] = erasures.parse(thing.name, thing.spec, thing.status)
            except errors.InputError as exc:  # nothing can be meant by it; the controller says so
                _log.error("erasure_unreadable", erasure=thing.name, message=str(exc))
                return False
            self._retired[thing.name] = _retired(thing.status)
            self.number = max(self.number, self._standing[thing.name].number)
        if before == (self._standing.get(thing.name), self._retired.get(thing.name)):
            return False
        self.rules = erasures.Rules(self._standing.values())
        self.retired = sorted({one for ones in self._retired.values() for one in ones})[:_MAX_RETIRED]
        return True

    def told(self, node: str) -> list[fleet_pb2.Erasure]:
        """What this node is told, in the order of numbers."""
        ordered = sorted(self._standing.values(), key=lambda one: (one.number or 2**53, one.name))
        return [_message(one) for one in ordered if one.what != erasures.NODE or one.value == node]


def _message(one: erasures.Erasure) -> fleet_pb2.Erasure:
    message = fleet_pb2.Erasure(model=one.model)
    if one.what == erasures.NODE:
        message.node = True
    elif one.what == erasures.BEFORE:
        message.before_unix_ms = int(one.value)
    elif one.what == erasures.EXAMPLE:
        message.example = str(one.value)
    elif one.what == erasures.REQUEST:
        message.request = str(one.value)
    else:
        message.subject = str(one.value)
    return message


def _retired(status: Mapping[str, object]) -> Sequence[str]:
    """Digests of the versions whose golden set holds an erased row."""
    sets = status.get("goldenSets")
    found = []
    for one in sets if isinstance(sets, list) else ():
        with contextlib.suppress(errors.InputError, TypeError, AttributeError):
            found.append(digests.check(one.get("digest"), "digest of a retired version"))
    return found
