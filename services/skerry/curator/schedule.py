"""What the curator does by the clock: follow the EdgeModels, scan again, publish datasets, sweep old ones, tell.

Nothing here waits for the teacher. Blocking, and meant for the desk's thread.
"""

import json
from collections.abc import Callable

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors, specs
from skerry.curator import dataset_retention, datasets, label_task
from skerry.curator.labeling import Desk
from skerry.curator.model_state import Subject
from skerry.curator.settings import Settings

_SHORTEST_PUBLISH_S = 1.0
_TELL_S = 1.0
_FORGIVE_S = 600.0
_SWEEP_S = 300.0
_REST = 10.0  # times as long as publishing took, it is not tried again: it never takes more than a tenth of the time

_log = logs.logger("curator")


class Keeper:
    """`monotonic` gives seconds."""

    def __init__(
        self,
        desk: Desk,
        objects: Objects,
        fleetstate: FleetState,
        blobs: Blobs,
        settings: Settings,
        monotonic: Callable[[], float],
    ) -> None:
        self._desk, self._objects, self._fleetstate, self._blobs = desk, objects, fleetstate, blobs
        self._settings, self._monotonic = settings, monotonic
        self._said: dict[str, str] = {}
        self._sweeper = dataset_retention.Sweeper(objects, blobs, monotonic, settings.keep_datasets_seconds)
        self._tell_at_s = self._rescan_at_s = self._forgive_at_s = self._sweep_at_s = float("-inf")

    def tick(self) -> None:
        """Do what is due. Trouble with one model or server is told once and does not stop the others."""
        now = self._monotonic()
        tell = now >= self._tell_at_s
        if tell:
            self._tell_at_s = now + _TELL_S
            self._guard("models", self._follow)
        if now >= self._rescan_at_s:
            self._rescan_at_s = now + self._settings.rescan_seconds
            self._guard("scan", self._scan, now)
        for model, subject in self._desk.subjects.items():
            self._guard(f"dataset of {model}", self._publish, subject, now)
            if tell and subject.loaded:
                self._guard("reading", self._tell, subject)
        if now >= self._sweep_at_s:
            self._sweep_at_s = now + min(_SWEEP_S, self._settings.keep_datasets_seconds / 2)
            for model, subject in self._desk.subjects.items():
                self._guard(f"old datasets of {model}", self._sweep, subject)

    def publish_now(self) -> None:
        """Publish what changed, whether due or not: before the process ends."""
        for model, subject in self._desk.subjects.items():
            subject.tried_at_s = float("-inf")
            self._guard(f"dataset of {model}", self._publish, subject, self._monotonic())

    def _guard(self, what: str, act: Callable[..., None], *args: object) -> None:
        try:
            act(*args)
            self._said.pop(what, None)
        except errors.SkerryError as exc:
            if self._said.get(what) != str(exc):
                self._said[what] = str(exc)
                _log.warning("curator_waits", what=what, message=str(exc))

    def _follow(self) -> None:
        """Let the subjects be those of the EdgeModels that there are."""
        wanted = {thing.name: thing for thing in self._objects.list("EdgeModel")}
        for gone in self._desk.subjects.keys() - wanted.keys():
            del self._desk.subjects[gone]
        for name, thing in wanted.items():
            self._guard(f"EdgeModel {name}", self._adopt, name, thing)

    def _adopt(self, name: str, thing: Object) -> None:
        model = specs.parse_edge_model(name, thing.spec)
        task, subject = label_task.of(model), self._desk.subjects.get(name)
        if subject is None or subject.task != task:
            publisher = datasets.Publisher(self._blobs, task)
            subject = Subject(task, publisher, self._settings.max_captured_bytes)
            self._desk.subjects[name] = subject
            self._desk.rescan([name])
        subject.base_digest = model.dataset_digest or None

    def _scan(self, now: float) -> None:
        if now >= self._forgive_at_s:
            self._forgive_at_s = now + _FORGIVE_S
            for subject in self._desk.subjects.values():
                subject.forgive()
        self._desk.rescan([name for name, subject in self._desk.subjects.items() if subject.scan is None])

    def _publish(self, subject: Subject, now: float) -> None:
        since_s = now - subject.tried_at_s
        if not subject.loaded or since_s < subject.rest_s or not due(subject.unpublished, since_s, self._settings):
            return
        subject.tried_at_s = now
        digest = subject.published.digest if subject.published else ""
        found = subject.publish()
        subject.rest_s = _REST * (self._monotonic() - now)
        if found is not None and found.digest != digest:
            _log.info("dataset_published", model=subject.task.model, digest=found.digest, captured=found.captured)

    def _sweep(self, subject: Subject) -> None:
        """Not before it is known what the newest dataset is."""
        if subject.published is not None:
            self._sweeper.sweep(subject.task.model, subject.published.digest, subject.held_parts)

    def _tell(self, subject: Subject) -> None:
        counts, found = subject.holdings.counts, subject.published
        body = {
            "labeled": counts.labeled,
            "hard": counts.hard,
            "exploration": counts.exploration,
            "truths": counts.truths,
            "datasetDigest": found.digest if found else "",
            "captured": found.captured if found else 0,
            "overBudget": found.over_budget if found else 0,
            "sinceUnixMs": found.since_unix_ms if found else 0,
        }
        self._fleetstate.put(
            contract.curator_reading(subject.task.model), json.dumps(body), ttl_s=contract.READING_TTL_S
        )


def due(waiting: int, since_s: float, settings: Settings) -> bool:
    """Is it time to publish, `since_s` after the last try, with `waiting` changes since the last dataset?"""
    if waiting <= 0 or since_s < _SHORTEST_PUBLISH_S:
        return False
    return waiting >= settings.publish_examples or since_s >= settings.publish_seconds
