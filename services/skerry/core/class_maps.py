"""What became of a model's classes when they were renamed, put in another order, removed or merged: former label maps,
the oldest first, each with where its classes went in the one after it; the last leads to the classes of now.

An index means a class only together with the digest of its label map. Whatever was counted under a former map is read
through the chain, never rewritten. A digest that could be read in two ways makes the whole chain unusable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from skerry.core import class_labels, label_map

MAX_FORMER = 16
GONE = -1  # the class of now of a class that was removed
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class FormerClasses:
    """`names` in their order. `to`: (old name, its name in the next map) of what was renamed or merged; `removed`: what
    is no class any more. Every other name is kept."""

    names: tuple[str, ...]
    to: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As EdgeModel.spec.classMap and manifests hold it."""
        return {"from": list(self.names), "to": dict(self.to), "removed": list(self.removed)}

    def composed(self) -> "FormerClasses":
        """With names as they are compared (NFC)."""
        plain = class_labels.normalized
        to = tuple(sorted((plain(old), plain(new)) for old, new in self.to))
        return FormerClasses(tuple(map(plain, self.names)), to, tuple(sorted(map(plain, self.removed))))


Former = tuple[FormerClasses, ...]


def table(former: Former, names: Sequence[str], map_digest: str) -> tuple[int, ...] | None:
    """The class of now (GONE: none) of each index of the label map with this digest; None when it is neither the one of
    `names` nor a former one, nor a beginning of one."""
    return _tables(former, tuple(names)).get(map_digest, (None,))[0]


def fault(former: Former, names: Sequence[str]) -> tuple[int, str] | None:
    """(which entry, why it cannot be, for people) of the first one that cannot; None: all can."""
    after = [entry.names for entry in former[1:]] + [tuple(names)]
    for index, (entry, following) in enumerate(zip(former, after, strict=True)):
        present = set(map(class_labels.normalized, following))
        if text := _entry_fault(entry.composed(), present, is_chained=index + 1 < len(former)):
            return index, text
    for readings in _tables(former, tuple(names)).values():
        if len(readings) > 1:
            first = next(i for i, pair in enumerate(zip(*readings, strict=False)) if pair[0] != pair[1])
            was, now = (_name(names, reading[first]) for reading in readings[:2])
            return len(former) - 1, (
                f"leads in a circle: what was counted under one of its maps can be read in two ways (class {first} is "
                f"{now} by the former classes and {was} by those of now); such classes need another EdgeModel"
            )
    return None


def change_fault(before: tuple[Former, Sequence[str]], after: tuple[Former, Sequence[str]]) -> str:
    """Why a model of (former, names) cannot go on as `after`, for people; empty: what was counted stays readable."""
    (kept, was), (now, names) = before, after
    known = [entry.composed() for entry in kept]
    if [entry.composed() for entry in now[: len(known)]] != known:
        return (
            "entries of classMap stay as they are, since labels and datasets are read through them: add one at its end"
        )
    added = now[len(known) :]
    if not added:
        return label_map.fault(was, names)
    if list(map(class_labels.normalized, added[0].names)) != list(map(class_labels.normalized, was)):
        return f"classMap[{len(known)}].from must be the classes before this change: {_list(was)}"
    return ""


def draft(was: Sequence[str], names: Sequence[str]) -> tuple[FormerClasses, tuple[str, ...]]:
    """The entry that a change from `was` to `names` needs, as far as names tell, and the names that a person must say
    something about: they are in `removed` until then."""
    present = set(map(class_labels.normalized, names))
    missing = tuple(name for name in was if class_labels.normalized(name) not in present)
    return FormerClasses(tuple(was), (), missing), missing


def _entry_fault(entry: FormerClasses, following: set[str], *, is_chained: bool) -> str:
    """`entry` and `following` are composed."""
    where = "the next entry's from" if is_chained else "classNames"
    own, to = set(entry.names), dict(entry.to)
    if len(own) != len(entry.names):
        return f"names {_twice(entry.names)!r:.80} twice in its from"
    if len(to) != len(entry.to):
        return f"names {_twice([old for old, _ in entry.to])!r:.80} twice in its to"
    for old in (*to, *entry.removed):
        if old not in own:
            return f"says what became of {old!r:.80}, which is not in its from: {_list(entry.names)}"
    if both := sorted(set(entry.removed) & to.keys()):
        return f"both renames and removes {both[0]!r:.80}: say one of the two"
    for old, new in entry.to:
        if new not in following:
            return f"lets {old!r:.80} become {new!r:.80}, which is not in {where}"
    for name in entry.names:
        if name not in to and name not in entry.removed and name not in following:
            return (
                f"does not say what became of {name!r:.80}, which is not in {where}: name its class under to, or it "
                "under removed"
            )
    if not following & ({*to.values()} | (own - to.keys() - set(entry.removed))):
        return "keeps no class at all: that is another model"
    return ""


Tables = Mapping[str, list[tuple[int, ...]]]


@lru_cache(maxsize=64)
def _tables(former: Former, names: tuple[str, ...]) -> Tables:
    """By digest of every map and of each beginning of one: how it can be read, by the classes of now first."""
    found: dict[str, list[tuple[int, ...]]] = {}
    # From a name of the following map to the class of now.
    leads = {class_labels.normalized(name): index for index, name in enumerate(names)}
    _add(found, names, tuple(range(len(names))))
    for entry in reversed([entry.composed() for entry in former]):
        to = dict(entry.to)
        leads = {name: GONE if name in entry.removed else leads.get(to.get(name, name), GONE) for name in entry.names}
        _add(found, entry.names, tuple(leads[name] for name in entry.names))
    return found


def _add(found: dict[str, list[tuple[int, ...]]], names: tuple[str, ...], reading: tuple[int, ...]) -> None:
    for length, digest in enumerate(label_map.digests(names), start=1 if names else 0):
        readings = found.setdefault(digest, [])
        if reading[:length] not in readings:
            readings.append(reading[:length])


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if list(names).count(name) > 1)


def _name(names: Sequence[str], index: int) -> str:
    return "no class any more" if index == GONE else repr(names[index][:_SHOWN])


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:_SHOWN]) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
