"""What a curator works on, written down before it is touched: so that the next one knows what a dead one died of.

The list of a process that ended in the middle lies there unchanged, and another curator adopts it. What stood in it is
suspect then: each is tried alone, behind everything else, and after three deaths it is set aside. While the owner of a
list may be alive nobody else touches what stands in it; the rest goes on meanwhile.

Blocking, and for the one thread of `Labeling`; `lets` may be asked from any.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, errors, names

DEATHS = 3  # of readers, then it is set aside
_MAX_BYTES = 16 << 20
_FIRST_RETRY_S = 5.0

_log = logs.logger("curator")


@dataclass(frozen=True, slots=True)
class Ref:
    """One example, whatever is to be done with it; `name` is 64 hex digits."""

    model: str
    name: str


@dataclass(slots=True)
class Suspect:
    """`deaths` names the curators in whose hands it was when they died, and the failures of this one; `message` is of
    the last failure, empty when all were deaths."""

    deaths: set[str] = field(default_factory=set)
    message: str = ""
    retry_at_s: float = float("-inf")


@dataclass(slots=True)
class _Foreign:
    """Another curator's list, and since when it is unchanged."""

    data: bytes
    since_s: float
    refs: frozenset[Ref]


class InHand:
    """`curator` is a name that no other process ever had. A list is a dead one's when `has_ended(curator)` is certain,
    or when it is unchanged for `stale_s`."""

    def __init__(
        self,
        blobs: Blobs,
        curator: str,
        monotonic: Callable[[], float],
        stale_s: float,
        has_ended: Callable[[str], bool] = lambda curator: False,
    ) -> None:
        self._blobs, self._curator, self._monotonic, self._stale_s = blobs, curator, monotonic, stale_s
        self._has_ended = has_ended
        self._hand: set[Ref] = set()
        self._suspects: dict[Ref, Suspect] = {}
        self._foreign: dict[str, _Foreign] = {}
        self._elsewhere: frozenset[Ref] = frozenset()
        self._written: dict[str, Any] = {}
        self._serial = 0
        self._look_at_s = float("-inf")

    def lets(self, ref: Ref) -> bool:
        """May it be worked on among others? Not while it is suspect, or may be in another's hand."""
        return ref not in self._suspects and ref not in self._elsewhere

    def take(self, refs: Iterable[Ref]) -> None:
        """Write down that these are worked on from now on. Raises UnavailableError; then they must not be touched."""
        before = set(self._hand)
        self._hand.update(refs)
        try:
            self._write()
        except errors.UnavailableError:
            self._hand = before
            raise

    def lay_down(self, refs: Iterable[Ref]) -> None:
        """These are done with. Written down with the next that are taken, or by `tidy`."""
        self._hand.difference_update(refs)

    def tidy(self) -> None:
        """Write down what was laid down, when there is anything to write. Raises UnavailableError."""
        if self._written and self._document() != self._written:
            self._write()

    def next_suspect(self) -> Ref | None:
        """The suspect to try now, if one is due: those that most readers died of come last."""
        now_s = self._monotonic()
        due = [ref for ref, one in self._suspects.items() if one.retry_at_s <= now_s and len(one.deaths) < DEATHS]
        return min(due, key=lambda ref: len(self._suspects[ref].deaths), default=None)

    def clear(self, ref: Ref) -> None:
        """It was done without harm."""
        self._suspects.pop(ref, None)

    def postpone(self, ref: Ref) -> None:
        """It could not be tried to its end for a reason of others; another time."""
        if suspect := self._suspects.get(ref):
            suspect.retry_at_s = self._monotonic() + _FIRST_RETRY_S

    def failed(self, ref: Ref, message: str) -> None:
        """This process failed at it and lives."""
        suspect = self._suspects.setdefault(ref, Suspect())
        suspect.deaths.add(f"{self._curator}:{len(suspect.deaths)}")
        suspect.message = message
        suspect.retry_at_s = self._monotonic() + _FIRST_RETRY_S * len(suspect.deaths)

    def condemned(self) -> Sequence[tuple[Ref, Suspect]]:
        """Suspects to be set aside; `clear` each when its record is written."""
        return [(ref, suspect) for ref, suspect in self._suspects.items() if len(suspect.deaths) >= DEATHS]

    def look(self, interval_s: float) -> None:
        """Look what other curators have in hand, when that is due: after `interval_s`, sooner while there is any.
        Raises UnavailableError."""
        now_s = self._monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + interval_s
        found = {PurePosixPath(path).stem for path in self._blobs.list(contract.IN_HAND_FOLDER)} - {self._curator}
        for gone in self._foreign.keys() - found:
            del self._foreign[gone]
        for curator in sorted(found):
            self._look_at(curator, now_s)
        self._elsewhere = frozenset().union(*(foreign.refs for foreign in self._foreign.values()))
        if self._foreign:
            self._look_at_s = now_s + min(interval_s, self._stale_s / 8)

    def _look_at(self, curator: str, now_s: float) -> None:
        path, known = contract.in_hand_path(curator), self._foreign.get(curator)
        try:
            data = self._blobs.read(path, max_bytes=_MAX_BYTES)
            hand, suspects = _read(data, curator)
        except errors.NotFoundError:
            self._foreign.pop(curator, None)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            _log.warning("in_hand_damaged", message=str(exc))
            self._blobs.delete(path)
        else:
            if self._has_ended(curator):
                self._adopt(curator, hand, suspects, now_s)
            elif known is None or known.data != data:
                self._foreign[curator] = _Foreign(data, now_s, frozenset((*hand, *suspects)))
            elif now_s - known.since_s >= self._stale_s:
                self._adopt(curator, hand, suspects, now_s)

    def _adopt(self, curator: str, hand: Iterable[Ref], suspects: dict[Ref, set[str]], now_s: float) -> None:
        """Take over a dead curator's list. Written down here before it is removed there; twice is once. They are not
        tried at once: who dies of something else soon after its start shall not condemn them."""
        for ref in (*suspects, *hand):
            suspect = self._suspects.setdefault(ref, Suspect())
            suspect.deaths |= suspects.get(ref, set())
            suspect.retry_at_s = now_s + _FIRST_RETRY_S
        for ref in hand:
            self._suspects[ref].deaths.add(curator)
        self._write()
        self._blobs.delete(contract.in_hand_path(curator))
        self._foreign.pop(curator, None)
        _log.warning("curator_died", curator=curator, examples=len(self._suspects))

    def _write(self) -> None:
        path = contract.in_hand_path(self._curator)
        if not self._hand and not self._suspects:
            self._blobs.delete(path)
            self._written = {}
            return
        self._serial += 1  # a list that is written again is another one: its owner lives
        document = self._document()
        self._blobs.write(path, json.dumps({"serial": self._serial, **document}).encode())
        self._written = document

    def _document(self) -> dict[str, Any]:
        return {
            "inHand": sorted([ref.model, ref.name] for ref in self._hand),
            "suspects": sorted([ref.model, ref.name, sorted(one.deaths)] for ref, one in self._suspects.items()),
        }


def _read(data: bytes, curator: str) -> tuple[list[Ref], dict[Ref, set[str]]]:
    """What was in hand, and suspects with who died of them. Raises IntegrityError."""
    try:
        document = json.loads(data)
        hand = [_ref(model, name) for model, name in document["inHand"]]
        suspects = {_ref(model, name): set(map(str, deaths)) for model, name, deaths in document["suspects"]}
    except (ValueError, KeyError, TypeError, RecursionError, errors.InputError) as exc:
        raise errors.IntegrityError(f"what curator {curator} had in hand cannot be read: {exc}") from exc
    return hand, suspects


def _ref(model: str, name: str) -> Ref:
    names.check("EdgeModel", model)
    digests.check(f"sha256:{name}", "an example in hand")
    return Ref(model, name)
