"""What must not be kept any more: which examples an Erasure means, and the one rule by which every part of the system
knows them again. Pure.

An erasure stands until a person deletes it: what matches is removed wherever it lies, is captured by no node and taken
from none. So the memory of what was erased is these few objects (`MAX_ERASURES`), never a list of what was removed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from skerry.core import digests, errors, names, subjects
from skerry.core.specs.reader import Reader, read

MAX_ERASURES = 1000  # that stand at a time: nodes are told all of them
MAX_REQUEST_CHARS = 256
# By what an erasure names examples: the field of its spec.
NODE, EXAMPLE, BEFORE, REQUEST, SUBJECT = "node", "example", "beforeUnixMs", "request", "subject"
WHAT = (NODE, EXAMPLE, BEFORE, REQUEST, SUBJECT)
COMPLETE, STORAGE, GOLDEN, NODES = "Complete", "StorageErased", "GoldenSetsErased", "NodesErased"  # conditions

_ROW = re.compile(r"#[0-9]{1,9}")


class Facts(NamedTuple):
    """What of an example says whether an erasure means it. `example`: its id; `answered_unix_ms` by its node's clock;
    `stored_unix_ms`: when the cloud stored it, 0 where that is not known."""

    model: str
    node: str
    example: str
    request_id: str
    subject: str
    answered_unix_ms: int
    stored_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Erasure:
    """`what` is one of WHAT and `value` its value; `model` empty: of every model. `number` rises from one to the next,
    0: the controller has not seen it yet."""

    name: str
    what: str
    value: str | int
    model: str = ""
    reason: str = ""
    at_unix_ms: int = 0
    number: int = 0

    @property
    def key(self) -> tuple[str, str, str | int]:
        """Equal for two that mean the same examples."""
        return self.what, self.model, self.value


class Rules:
    """All erasures that stand, asked about one example at a time, in constant time."""

    def __init__(self, erasures: Iterable[Erasure] = ()) -> None:
        self._names: dict[tuple[str, str, str | int], str] = {}
        self._before: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for one in erasures:
            if one.what == BEFORE:
                self._before[one.model].append((int(one.value), one.name))
            else:
                self._names[one.key] = one.name

    def __bool__(self) -> bool:
        return bool(self._names or self._before)

    def match(self, facts: Facts) -> str | None:
        """The name of an erasure that means the example; None: it may be kept."""
        for model in ("", facts.model):
            for what, value in _named(facts):
                if (found := self._names.get((what, model, value))) is not None:
                    return found
            for before, name in self._before.get(model, ()):
                if facts.answered_unix_ms < before or 0 < facts.stored_unix_ms < before:
                    return name
        return None


def _named(facts: Facts) -> Iterable[tuple[str, str]]:
    yield NODE, facts.node
    yield EXAMPLE, facts.example
    if facts.subject:
        yield SUBJECT, facts.subject
    if facts.request_id:
        yield REQUEST, facts.request_id
        yield REQUEST, request_of(facts.request_id)


def request_of(row_id: str) -> str:
    """The caller's id of a request, from the id of one of its rows (`<id>#<n>`)."""
    request, mark, row = row_id.rpartition("#")
    return request if mark and _ROW.fullmatch(f"#{row}") else row_id


def parse(name: str, spec: Mapping[str, Any], status: Mapping[str, Any] | None = None) -> Erasure:
    """Raises InputError naming the field."""
    number = (status or {}).get("number", 0)
    erasure = read("Erasure", name, "spec", spec, lambda reader: _erasure(name, reader))
    return erasure if not _is_number(number) else _numbered(erasure, number)


def standing(things: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> list[Erasure]:
    """All that can be read of (name, spec, status); one that cannot is told where it is carried out."""
    found = []
    for name, spec, status in things:
        try:
            found.append(parse(name, spec, status))
        except errors.InputError:
            continue
    return found


def check_new(erasure: Erasure, known: Iterable[Erasure]) -> None:
    """Raises RejectedError when the same was asked for already, or as many stand as nodes are told of."""
    others = list(known)
    if same := next((one for one in others if one.key == erasure.key), None):
        raise errors.RejectedError(
            f"that is erased already, by {same.name}: `skerry erase show {same.name}` says how far it is"
        )
    if len(others) >= MAX_ERASURES:
        raise errors.RejectedError(
            f"{MAX_ERASURES} erasures stand, as many as nodes are told of: `skerry erase list` shows them, oldest "
            "first; `skerry erase end NAME` ends one that is complete (what it removed stays removed)"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def _numbered(one: Erasure, number: int) -> Erasure:
    return Erasure(one.name, one.what, one.value, one.model, one.reason, one.at_unix_ms, number)


def _erasure(name: str, reader: Reader) -> Erasure:
    given = [field for field in WHAT if reader.has(field)]
    if len(given) != 1:
        raise reader.fault(
            given[1] if given else NODE,
            f"must be the only one of {', '.join(WHAT)} that is given, and one must be: each names other examples",
        )
    (what,) = given
    model = reader.text("model", "", limit=120)
    if model and not names.is_name(model):
        raise reader.fault("model", "must be the name of an EdgeModel, or empty for all of them")
    return Erasure(
        name,
        what,
        _value(what, reader),
        model,
        reader.text("reason", "", limit=1024),
        reader.integer("atUnixMs", 0),
    )


def _value(what: str, reader: Reader) -> str | int:
    if what == BEFORE:
        return reader.integer(BEFORE, None, low=1)
    text = reader.text(what, None, limit=MAX_REQUEST_CHARS)
    if what == NODE and not names.is_name(text):
        raise reader.fault(NODE, "must be the name of a node")
    if what == EXAMPLE:
        digests.check(text, "Erasure spec.example")
    if what == SUBJECT and not subjects.is_hash(text):
        raise reader.fault(SUBJECT, "must be a subject's keyed hash, 64 hex digits: `skerry erase --subject` makes it")
    if what == REQUEST and not text:
        raise reader.fault(REQUEST, "must be the id of a request")
    return text
