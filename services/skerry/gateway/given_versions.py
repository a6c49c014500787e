"""Which models there are, and which versions each node can have answered with, from the objects as the watch saw them.

Another gateway may have seen a new version first and given it to a node. So what is not known here is waited for before
it is refused: the node keeps its record meanwhile. What was known once stays known while this process lives.
"""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from skerry.adapters.objects.protocol import Change, Object
from skerry.core import conditions, errors, uploads

WAIT_S = 10.0  # for an object that another gateway may have seen
_FORGOTTEN_AFTER_S = 10 * WAIT_S
_MAX_MISSES = 10_000


class NotYetError(errors.UnavailableError):
    """It is not known here yet, and may be soon."""


class GivenVersions:
    """Objects are applied on one thread; any may ask. `clock` is monotonic seconds, `silent_s` gives how long the watch
    has heard nothing."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, silent_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._clock, self.silent_s = clock, silent_s
        self._models: set[str] = set()
        self._published: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)  # model: digest: number, since when
        self._numbers: dict[str, int] = {}  # by the version's name
        self._offered: dict[str, dict[str, int]] = defaultdict(dict)  # model: node: highest number; "": to every node
        self._unresolved: dict[str, dict[str, tuple[str, Iterable[str]]]] = defaultdict(dict)  # version: who names it
        self._misses: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()  # of the misses

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what changed."""
        kinds = {"EdgeModel": self._model, "ModelVersion": self._version, "ModelRollout": self._rollout}
        for change in changes:
            thing = change.object
            if change.deleted:
                if thing.kind == "EdgeModel":
                    self._models.discard(thing.name)
            elif thing.kind == "EdgeNode":
                self._node(thing)
            elif (take := kinds.get(thing.kind)) is not None:
                take(thing)

    def model_fault(self, model: str) -> uploads.Fault | None:
        """Raises NotYetError while it may still become known here."""
        if model in self._models:
            return None
        self._wait(model, "")
        return uploads.Fault.UNKNOWN_MODEL

    def version_fault(self, node: str, model: str, digest: str) -> uploads.Fault | None:
        """As `model_fault`, of the version that a node says it answered with."""
        number, _ = self._published[model].get(digest, (None, 0)) if model in self._models else (None, 0)
        offered = self._offered[model] if model in self._models else {}
        fault = uploads.version_fault(number, max(offered.get(node, 0), offered.get("", 0)))
        if fault is not None:
            self._wait(model, f"{digest} {node}")
        return fault

    def published_ms(self, model: str, digest: str) -> int:
        """Since when there is this version, a known one."""
        return max(uploads.EARLIEST_MS, self._published[model][digest][1])

    def _wait(self, model: str, what: str) -> None:
        now = self._clock()
        with self._lock:
            first = self._misses.setdefault((model, what), now)
            if now - first > _FORGOTTEN_AFTER_S:  # another matter: what is new now may be new to this gateway alone
                first = self._misses[model, what] = now
            if len(self._misses) > _MAX_MISSES:
                self._misses.popitem(last=False)
        if now - first < WAIT_S or self.silent_s() > WAIT_S:
            raise NotYetError(f"what the record is of is not known here yet (model {model:.80}): it is kept")

    def _model(self, thing: Object) -> None:
        self._models.add(thing.name)
        self._offer(f"model {thing.name}", thing.name, str(thing.status.get("stableVersion") or ""), [""])

    def _version(self, thing: Object) -> None:
        model, digest, number = (thing.spec.get(field) for field in ("model", "digest", "version"))
        if isinstance(model, str) and isinstance(digest, str) and isinstance(number, int):
            self._published[model][digest] = number, thing.created_unix_ms
            self._numbers[thing.name] = number
            for of_model, nodes in self._unresolved.pop(thing.name, {}).values():
                self._raise(of_model, nodes, number)

    def _rollout(self, thing: Object) -> None:
        model, version = str(thing.spec.get("model", "")), str(thing.spec.get("version", ""))
        self._offer(f"before {thing.name}", model, str(thing.status.get("stableVersion") or ""), [""])
        try:
            succeeded = conditions.is_true(conditions.from_json(thing.status.get("conditions")), "Succeeded")
        except errors.InputError:
            return
        self._offer(thing.name, model, version, [""] if succeeded else _reached(thing.status))

    def _node(self, thing: Object) -> None:
        for given in _mappings(thing.spec.get("assignments")):
            model, digest, number = (given.get(field) for field in ("model", "digest", "version"))
            if isinstance(model, str) and isinstance(digest, str) and isinstance(number, int):
                self._published[model].setdefault(digest, (number, 0))
                self._raise(model, [thing.name], number)

    def _offer(self, source: str, model: str, version: str, nodes: Iterable[str]) -> None:
        """By the version's name; its number may come later. `source`: which object says it."""
        if number := self._numbers.get(version):
            self._raise(model, nodes, number)
        elif version:
            self._unresolved[version][source] = model, nodes

    def _raise(self, model: str, nodes: Iterable[str], number: int) -> None:
        offered = self._offered[model]
        for node in nodes:
            offered[node] = max(number, offered.get(node, 0))


def _reached(status: Mapping[str, Any]) -> list[str]:
    """The nodes of the waves that a rollout has come to."""
    waves, current = _mappings(status.get("waves")), status.get("wave", 0)
    if not isinstance(current, int):
        return []
    return [node for wave in waves[: current + 1] for node in _list(wave.get("nodes")) if isinstance(node, str)]


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


def _list(value: object) -> Sequence[object]:
    """One odd object must not hide what the others say."""
    return value if isinstance(value, list) else ()
