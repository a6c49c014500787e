"""Follows each Erasure to its end: gives it a number, reads how far storage is, names the versions that learned from
what it removed, waits for the nodes to confirm, and says which runs may not ship.

Storage is the curator's work (`core.erasure_progress`), golden sets are `golden_sets`'.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.controller import condition_json, golden_sets
from skerry.controller.store import Store
from skerry.core import contract, erasure_progress, erasures, errors, manifest
from skerry.core.erasure_progress import Progress
from skerry.core.erasures import Erasure

MAX_VERSIONS = 1000
MAX_NODES = 100
_SEARCH_AGAIN_MS = 10_000
DATA_ERASED = "DataErased"  # why a run ended


class Erasures:
    """Remembers what never changes: documents of erasures that storage is done with, and datasets of versions."""

    def __init__(self, store: Store, blobs: Blobs, golden: golden_sets.GoldenSets) -> None:
        self._store, self._blobs, self._golden_sets = store, blobs, golden
        self._done: dict[str, Progress] = {}  # by uid
        self._searched: dict[str, tuple[int, Sequence[golden_sets.Held] | None]] = {}  # by uid: when, what was found
        self._trained_on: dict[str, str] = {}  # dataset, by name of a version

    def verdict(self, model: str, dataset: str) -> str | None:
        """Why nothing that was trained on the dataset may ship, for people; empty: not known yet, storage is still
        searched; None: nothing of it was erased. Raises UnavailableError."""
        answer: str | None = None
        for thing in self._store.list("Erasure"):
            erasure = _parsed(thing)
            if erasure is None or erasure.model not in ("", model):
                continue
            progress = self._progress(thing)
            if progress is not None and (model, dataset) in progress.datasets:
                return (
                    f"dataset {dataset} held rows that were erased ({thing.name}): what was trained on it does not "
                    "ship; `skerry retrain` starts again from what is left"
                )
            if progress is None or not (progress.is_done or progress.faults):
                answer = ""
        return answer

    def step(self, *, now_ms: int) -> bool:
        """Write how far each is. Returns whether all are complete. Raises UnavailableError."""
        are_complete = True
        found = sorted(self._store.list("Erasure"), key=lambda one: (one.created_unix_ms, one.name))
        self._done = {one.uid: self._done[one.uid] for one in found if one.uid in self._done}
        self._searched = {one.uid: self._searched[one.uid] for one in found if one.uid in self._searched}
        highest = max((_number(one) for one in found), default=0)
        for thing in found:
            erasure = _parsed(thing)
            if erasure is None:
                self._refuse(thing, now_ms)
                continue
            if not erasure.number:
                highest = max(highest + 1, now_ms)  # above those that were ended since
                thing = self._store.put_status(thing, {**thing.status, "number": highest})
            if not condition_json.is_true(thing.status, erasures.COMPLETE):
                self._follow(thing, erasure, now_ms)
                are_complete = False
        return are_complete

    def _follow(self, thing: Object, erasure: Erasure, now_ms: int) -> None:
        progress = self._progress(thing)
        status: dict[str, Any] = {**thing.status}
        if progress is not None:
            status |= {"examples": progress.examples, "parts": progress.parts}
            status["versions"] = self._learned(progress)
        waiting = self._waiting(erasure, _number(thing))
        status |= {"waiting": len(waiting), "waitingNodes": waiting[:MAX_NODES]}
        told = [_storage(progress), self._golden(thing, erasure, progress, status, now_ms), _nodes(waiting)]
        for kind, is_true, reason, message in told:
            status = condition_json.with_condition(status, kind, _word(is_true), reason, message, now_ms)
        is_complete = all(is_true for _, is_true, _, _ in told)
        reason, message = next(((reason, text) for _, is_true, reason, text in told if not is_true), ("Erased", ""))
        self._store.put_status(
            thing,
            condition_json.with_condition(status, erasures.COMPLETE, _word(is_complete), reason, message, now_ms),
        )

    def _golden(
        self, thing: Object, erasure: Erasure, progress: Progress | None, status: dict[str, Any], now_ms: int
    ) -> "_Told":
        """Once storage is done: which versions' golden sets hold an erased row."""
        if progress is None or not progress.is_done:
            return erasures.GOLDEN, False, "Waiting", "storage is searched first"
        held = self._held(thing, erasure, now_ms)
        status["goldenSets"] = [_golden_row(one) for one in held]
        if not held:
            return erasures.GOLDEN, True, "Erased", ""
        told = "; ".join(f"{one.version}: {one.then}" for one in held)
        return erasures.GOLDEN, False, "HoldsRow", f"golden sets hold erased rows: {told}"

    def _held(self, thing: Object, erasure: Erasure, now_ms: int) -> Sequence[golden_sets.Held]:
        """Asked again only while there are any, and seldom then: what is trained later has none of it, and a node may
        be waited for for a month."""
        searched_ms, held = self._searched.get(thing.uid, (0, None))
        if held is not None and (not held or 0 <= now_ms - searched_ms < _SEARCH_AGAIN_MS):
            return held
        inputs = golden_sets.erased_inputs(self._blobs, thing.name)
        held = self._golden_sets.search(inputs, erasure.model)
        if held:
            self._golden_sets.retire(held, now_ms=now_ms)
            held = self._golden_sets.search(inputs, erasure.model)
            held = self._golden_sets.replace(held, now_ms=now_ms)
        self._searched[thing.uid] = now_ms, held
        return held

    def _refuse(self, thing: Object, now_ms: int) -> None:
        try:
            erasures.parse(thing.name, thing.spec)
        except errors.InputError as exc:
            status = condition_json.with_condition(
                thing.status, erasures.COMPLETE, "False", "Invalid", f"{exc}; nothing is erased by it", now_ms
            )
            self._store.put_status(thing, status)

    def _progress(self, thing: Object) -> Progress | None:
        """None: storage has not begun."""
        if thing.uid in self._done:
            return self._done[thing.uid]
        path = contract.erasure_path(thing.name)
        try:
            progress = erasure_progress.from_json(self._blobs.read(path, max_bytes=erasure_progress.MAX_BYTES), path)
        except (errors.NotFoundError, errors.IntegrityError):
            return None
        if progress.uid != thing.uid:
            return None
        if progress.is_done:
            self._done[thing.uid] = progress
        return progress

    def _learned(self, progress: Progress) -> Sequence[Mapping[str, Any]]:
        """The versions that were trained on a dataset which held rows of it: they are named, and stay."""
        if not progress.datasets:
            return []
        learned = []
        for version in sorted(self._store.list("ModelVersion"), key=lambda one: (one.created_unix_ms, one.name)):
            if version.spec.get("source") != "Trained":
                continue
            key = (str(version.spec.get("model")), self._dataset_of(version))
            if rows := progress.datasets.get(key):
                learned.append({"version": version.name, "model": key[0], "dataset": key[1], "rows": rows})
        return learned[-MAX_VERSIONS:]

    def _dataset_of(self, version: Object) -> str:
        if version.name not in self._trained_on:
            try:
                data = blob_store.fetch(self._blobs, str(version.spec.get("digest")), manifest.MAX_BYTES)
                self._trained_on[version.name] = manifest.from_json(data).dataset
            except (errors.InputError, errors.IntegrityError):
                return ""
        return self._trained_on[version.name]

    def _waiting(self, erasure: Erasure, number: int) -> list[str]:
        """Nodes that may hold something of it and have not confirmed, by name. One that was revoked is waited for as
        well: its disk is where it was."""
        return sorted(
            node.name
            for node in self._store.list("EdgeNode")
            if (erasure.what != erasures.NODE or node.name == erasure.value)
            and (node.status.get("lastSeenUnixMs") or node.status.get("connected"))
            and not _has_confirmed(node.status.get("erasedUpTo"), number)
        )


def _parsed(thing: Object) -> Erasure | None:
    try:
        return erasures.parse(thing.name, thing.spec, thing.status)
    except errors.InputError:
        return None


def _number(thing: Object) -> int:
    number = thing.status.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _has_confirmed(confirmed: object, number: int) -> bool:
    return isinstance(confirmed, int) and 0 < number <= confirmed


def _word(is_true: bool) -> str:
    return "True" if is_true else "False"


def _golden_row(one: golden_sets.Held) -> dict[str, Any]:
    message = f"{one.rows} of its {one.of} rows were erased; {one.then}"
    told = {"version": one.version, "digest": one.digest, "rows": one.rows, "message": message}
    return told | ({"replacedBy": one.replaced_by} if one.replaced_by else {})


_Told = tuple[str, bool, str, str]


def _storage(progress: Progress | None) -> _Told:
    if progress is None:
        return erasures.STORAGE, False, "Waiting", "the curator has not begun"
    if progress.faults:
        shown = "; ".join(f"{path}: {why:.200}" for path, why in list(progress.faults.items())[:3])
        text = f"{len(progress.faults)} blobs could not be searched and may hold it: remove or mend them ({shown})"
        return erasures.STORAGE, False, "NotSearched", text
    if not progress.is_done:
        return erasures.STORAGE, False, "Erasing", f"{progress.examples} examples are removed so far"
    found = f"{progress.examples} examples, and {progress.parts} parts of datasets"
    return erasures.STORAGE, True, "Erased", found if progress.examples or progress.parts else "nothing was there"


def _nodes(waiting: Sequence[str]) -> _Told:
    if not waiting:
        return erasures.NODES, True, "Confirmed", ""
    shown = ", ".join(waiting[:5]) + ("…" if len(waiting) > 5 else "")
    text = f"{len(waiting)} nodes have yet to confirm: {shown}; each hears of it when it is back"
    return erasures.NODES, False, "NodesWaiting", text
