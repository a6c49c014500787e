"""What is not labelled yet, or labelled and not known yet: scans of each model, a little of each at a time, so that
none holds the others up. Blocking, and for the one thread of `Labeling`.

All of object storage is listed when a curator starts, when the stream forgot, and a few times a day; in between a scan
goes through what is left to do, which costs by what came and waits, not by what is stored.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence

from skerry.adapters.telemetry import logs
from skerry.core import contract, errors
from skerry.curator import work_stream
from skerry.curator.example_store import ExampleStore, StoredExample
from skerry.curator.labeling import Labeling
from skerry.curator.model_state import ModelState
from skerry.curator.restoring import Restoring
from skerry.curator.setting_aside import SettingAside
from skerry.curator.teaching_queue import Work

_LOADED_AT_ONCE = 256  # labelled examples read again by one look
_UNTOLD_AT_ONCE = 64  # blobs, of up to as many entries as an upload has records
_NAMES_AT_ONCE = 2000  # names of each model that one look passes

_log = logs.logger("curator")


class Scanning:
    """The scans of all models that `labeling` has."""

    def __init__(
        self, labeling: Labeling, store: ExampleStore, setting_aside: SettingAside, restoring: Restoring
    ) -> None:
        self._labeling, self._store, self._setting_aside = labeling, store, setting_aside
        self._restoring = restoring
        self._looks_for_untold = True

    def _untold(self) -> list[Work]:
        """What the stream did not tell of, some of it at a time. Once it is noted, only a whole scan remembers it."""
        if not self._looks_for_untold or not self.takes_in:
            return []
        try:
            entries, self._looks_for_untold, damaged = self._store.take_untold(_UNTOLD_AT_ONCE)
        except errors.UnavailableError as exc:
            _log.warning("untold_not_read", message=str(exc))
            return []
        for state in self._labeling.models.values() if damaged else ():
            state.scan_wanted = state.full_scan_wanted = True
        works = work_stream.parse_each(entries)
        self.note(works)
        self.note(labelled := work_stream.parse_each(entries, contract.LABEL))
        with contextlib.suppress(errors.UnavailableError):  # a scan finds out
            self.take_in(labelled)
        return works

    def rescan(self, models: Iterable[str], *, full: bool = False) -> None:
        """Look again at what is left to do; `full`: compare object storage with what is known, from the beginning."""
        self._looks_for_untold = True
        for model in models:
            state = self._labeling.models[model]
            state.full_scan_wanted |= full or (state.scan is not None and state.scans_all)
            state.scan, state.scan_wanted = None, True

    def note(self, works: Iterable[Work]) -> None:
        """These came: until they are done, scans look after them."""
        for work in works:
            if state := self._labeling.models.get(work.model):
                state.note(work.name, truth=work.truth)

    def backlog(self, count: int) -> list[Work]:
        """Work that the running scans find: of each model what needs no teacher, up to `count` pieces, and what waits
        for one, as far as one look goes. A scan that storage ends is logged, and begun again with the next."""
        works = self._untold()
        running = [state for state in self._labeling.models.values() if state.scan is not None or _wants_scan(state)]
        for state in running:
            try:
                works += self._look(state, count, max(1, _LOADED_AT_ONCE // len(running)))
            except errors.UnavailableError as exc:
                state.scan = None
                state.full_scan_wanted |= state.scans_all
                _log.warning("scan_failed", model=state.task.model, message=str(exc))
        return works

    def _look(self, state: ModelState, count: int, max_loads: int) -> list[Work]:
        if not state.restored:
            self._restoring.step(state)
        if not state.restored:
            return []
        if state.scan is None:
            state.scans_all = state.publishes and (state.full_scan_wanted or state.audited != state.terms)
            state.full_scan_wanted = state.scan_wanted = state.teaching.turned_away = False
            self._setting_aside.refresh(state)
            state.scan = self._store.scan(state.task.model) if state.scans_all else _left(state)
            state.waiting.begin_pass()
            state.untold_seen = 0
        works: list[Work] = []
        unknown: list[StoredExample] = []
        to_examine, ended = 0, False
        for _ in range(_NAMES_AT_ONCE):
            if to_examine >= count or len(unknown) >= max_loads:
                break
            stored = next(state.scan, None)
            if ended := stored is None:
                break
            if state.refuses(stored.hex) or not self._setting_aside.lets(_work(state, stored)):
                if not state.refuses(stored.hex) or state.may_come_back(stored.hex):
                    state.note(stored.hex, truth=stored.has_truth)
                else:
                    state.left.pop(stored.hex, None)
                continue
            if stored.labelled and not state.captured_rows.knows(stored.hex):
                unknown.append(stored)
            elif _is_untold(state, stored):
                state.untold_seen += 1
                state.note(stored.hex, truth=False)
            elif _is_left_to_do(state, stored):
                works.append(_work(state, stored))
                to_examine += works[-1].truth
                state.note(stored.hex, truth=stored.has_truth)
                if not stored.labelled:
                    state.waiting.saw(stored.hex, functools.partial(self._store.written_unix_s, state.task.model))
            else:
                state.left.pop(stored.hex, None)
        works += self._load(state, unknown)
        if ended:
            state.scan = None
            if state.scans_all:
                state.loaded, state.audited = True, state.terms
            state.waiting.end_pass()
            state.untold = state.untold_seen
        return works

    def take_in(self, works: Iterable[Work]) -> None:
        """Other labelers labelled these. Raises UnavailableError; then it can be done again."""
        for work in works:
            state = self._labeling.models.get(work.model)
            if state is not None and state.publishes:
                self._load_each(state, [work], is_new=True)

    @property
    def takes_in(self) -> bool:
        """Is there somebody to tell what other labelers labelled? Not before it is known what was labelled before."""
        states = list(self._labeling.models.values())
        return bool(states) and all(state.publishes and state.restored for state in states)

    def _load(self, state: ModelState, unknown: Sequence[StoredExample]) -> list[Work]:
        """Take labelled examples in; returns what is still to be done about them."""
        self._load_each(state, [_work(state, stored) for stored in unknown])
        return [_work(state, stored) for stored in unknown if _is_left_to_do(state, stored)]

    def _load_each(self, state: ModelState, loaded: Sequence[Work], *, is_new: bool = False) -> None:
        self._setting_aside.take(loaded)
        for work in loaded:
            try:
                self._labeling.load(state, work.name, is_new=is_new)
            except errors.UnavailableError:
                raise
            except Exception as exc:  # noqa: BLE001  # one example must not end the scan
                self._setting_aside.failed(work, exc)
        self._setting_aside.lay_down(loaded)


def _left(state: ModelState) -> Iterator[StoredExample]:
    """What is left to do, as far as it is known here: whoever looks at one finds out what lies in storage."""
    for name, truth in list(state.left.items()):
        yield StoredExample(name, state.captured_rows.knows(name), truth)


def _wants_scan(state: ModelState) -> bool:
    return state.scan_wanted or state.teaching.wants_scan


def _work(state: ModelState, stored: StoredExample) -> Work:
    truth = stored.has_truth and not state.refuses(f"{stored.hex}:truth")
    return Work(state.task.model, stored.hex, truth)


def _is_untold(state: ModelState, stored: StoredExample) -> bool:
    """Nothing is left to do until its truth comes, for no teacher is asked."""
    return not (stored.labelled or stored.has_truth or state.task.asks_teacher)


def _is_left_to_do(state: ModelState, stored: StoredExample) -> bool:
    """It has no label; or its label is damaged, or older than the truth beside it; or the teacher was not asked about
    the truth. Of what the teacher fails at only the truth is left to do."""
    if state.refuses(stored.hex):
        return False
    has_truth, asks = _work(state, stored).truth, state.asks_teacher(stored.hex)
    if stored.labelled and state.captured_rows.lacks_opinion(stored.hex) and not state.teaching.is_missing and asks:
        return True
    is_known = stored.labelled and state.captured_rows.knows(stored.hex, with_truth=has_truth)
    return not is_known and (has_truth or asks)
