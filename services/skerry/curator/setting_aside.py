"""Who may touch an example, and what becomes of one that kills or fails its readers: it is tried alone, and after some
deaths or failures set aside with a reason, so that labelling goes on without it.

Blocking, and for the one thread of `Labeling`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from skerry.adapters.streams.protocol import MAX_DELIVERIES, Entry
from skerry.adapters.telemetry import logs
from skerry.core import set_aside
from skerry.curator.in_hand import DEATHS, InHand, Ref, Suspect
from skerry.curator.model_state import ModelState
from skerry.curator.set_aside import Key, SetAsideStore
from skerry.curator.teaching_queue import Work

_READ_AT_ONCE = 256  # records whose reason is read by one refresh
_MAX_ENTRIES = 100  # records of stream entries that are kept
_UNREAD = "SetAside"  # the reason of one whose record was not read yet

_log = logs.logger("curator")


class SettingAside:
    """`clock` gives Unix milliseconds; `tell(model, reason, message)` tells people."""

    def __init__(
        self,
        models: Mapping[str, ModelState],
        in_hand: InHand,
        store: SetAsideStore,
        clock: Callable[[], int],
        tell: Callable[[str, str, str], None] = lambda model, reason, message: None,
    ) -> None:
        self._models, self._in_hand, self._store, self._clock, self._tell = models, in_hand, store, clock, tell
        self._kept_entries: int | None = None  # records of entries in storage; None: to be counted
        self.entries: Counter[str] = Counter()  # entries of the stream that were set aside since the start, by reason

    def is_set_aside(self, work: Work) -> bool:
        """May nothing touch it any more?"""
        state = self._models.get(work.model)
        return state is not None and state.bars(work.name)

    def lets(self, work: Work) -> bool:
        """May it be worked on among others now?"""
        return not self.is_set_aside(work) and self._in_hand.lets(_ref(work))

    def take(self, works: Sequence[Work]) -> None:
        """Write down that these are worked on. Raises UnavailableError; then they must not be touched."""
        if works:
            self._in_hand.take(map(_ref, works))

    def lay_down(self, works: Iterable[Work]) -> None:
        """These are done with, for now."""
        self._in_hand.lay_down(map(_ref, works))

    def tidy(self) -> None:
        """Write down what was laid down, before a pause. Raises UnavailableError."""
        self._in_hand.tidy()

    def failed(self, work: Work, exc: Exception) -> None:
        """Something that nobody foresaw: a bug, or no memory. It is tried alone from now on."""
        _log.warning("example_failed", model=work.model, example=work.name, message=repr(exc))
        self._in_hand.failed(_ref(work), repr(exc))

    def acquit(self, work: Work) -> None:
        """It was tried alone, and reading it did no harm."""
        self._in_hand.clear(_ref(work))

    def postpone(self, work: Work) -> None:
        """It was tried alone, and storage did not let it come to an end."""
        self._in_hand.postpone(_ref(work))

    def look(self, interval_s: float) -> Work | None:
        """Look after what others left, set aside what is condemned, and name the next to try alone. Raises
        UnavailableError."""
        self._in_hand.look(interval_s)
        told: dict[tuple[str, str, str], list[str]] = {}
        for ref, suspect in self._in_hand.condemned():
            reason, message = _reason(suspect)
            self._put(Work(ref.model, ref.name, truth=False), reason, message)
            told.setdefault((ref.model, reason, message), []).append(ref.name)
        for (model, reason, message), names in told.items():
            self._tell(model, reason, f"{_named(names)} set aside: {message}")
        suspect_ref = self._in_hand.next_suspect()
        return Work(suspect_ref.model, suspect_ref.name, truth=True) if suspect_ref else None

    def set_aside(self, work: Work, reason: str, message: str) -> None:
        """Raises UnavailableError; nothing has changed then."""
        self._put(work, reason, message)
        self._tell(work.model, reason, f"{_named([work.name])} set aside: {message}")

    def _put(self, work: Work, reason: str, message: str) -> None:
        self._store.put(set_aside.SetAside(work.model, work.name, set_aside.EXAMPLE, reason, message, self._clock()))
        self._in_hand.clear(_ref(work))
        if state := self._models.get(work.model):
            state.set_aside[work.name] = reason
        _log.warning("set_aside", model=work.model, example=work.name, reason=reason, message=message)

    def set_aside_entry(self, entry: Entry) -> None:
        """An entry of the stream that names nothing to work on. Of many the first are kept. Raises UnavailableError."""
        if entry.deliveries > MAX_DELIVERIES:
            reason, message = (
                set_aside.READER_DIED,
                f"it was handed out {entry.deliveries} times and never acknowledged",
            )
        else:
            shown = ", ".join(f"{key!r:.60}: {value!r:.100}" for key, value in list(entry.fields.items())[:8])
            reason, message = set_aside.ENTRY_MALFORMED, f"it names no model, example and kind, but {{{shown}}}"
        if self._kept_entries is None:
            self._kept_entries = sum(1 for _ in self._store.names(""))
        if self._kept_entries < _MAX_ENTRIES:
            self._store.put(set_aside.SetAside("", entry.id, set_aside.ENTRY, reason, message, self._clock()))
            self._kept_entries += 1
        self.entries[reason] += 1
        _log.warning("set_aside", entry=entry.id, reason=reason, message=message)

    def refresh(self, state: ModelState) -> None:
        """Read what is set aside of a model: others set aside too, and people have examples tried again. Raises
        UnavailableError."""
        self._kept_entries = None
        known, state.set_aside, reads = state.set_aside, {}, 0
        for name, kind in self._store.names(state.task.model):
            reason = known.get(name, _UNREAD)
            if reason == _UNREAD and reads < _READ_AT_ONCE:
                reason, reads = self._store.record(Key(state.task.model, name, kind)).reason, reads + 1
            state.set_aside[name] = reason


def _named(names: Sequence[str]) -> str:
    others = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return f"example {names[0][:12]}…{others}"


def _ref(work: Work) -> Ref:
    return Ref(work.model, work.name)


def _reason(suspect: Suspect) -> tuple[str, str]:
    if suspect.message:
        return set_aside.READ_FAILED, f"reading it failed {DEATHS} times, the last time with {suspect.message}"
    return set_aside.READER_DIED, f"{DEATHS} curators died while they had it in hand, at last with it alone"
