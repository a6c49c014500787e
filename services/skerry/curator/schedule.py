"""What the curator does by the clock: follow the EdgeModels, scan again, publish datasets, remove old ones,
report.

Nothing here waits for the teacher. Blocking, and meant for the thread of `Labeling`.
"""

import contextlib
import json
from collections.abc import Callable

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs, on_change
from skerry.core import (
    comparisons,
    contract,
    contributions,
    erasures,
    errors,
    example_retention,
    exclusions,
    membership,
    specs,
)
from skerry.curator import dataset_retention, datasets, erasing, label_task
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.model_state import NOTHING_ERASED, ModelState
from skerry.curator.publisher_lease import PublisherLease
from skerry.curator.restoring import Restoring
from skerry.curator.scanning import Scanning
from skerry.curator.setting_aside import SettingAside
from skerry.curator.settings import Settings
from skerry.curator.stored_rows import StoredRows
from skerry.curator.teaching_queue import TeachingQueue

_SHORTEST_PUBLISH_S = 1.0
_REPORT_S = 1.0
_RETRY_REFUSED_S = 600.0
_RETENTION_S = 300.0
_REST = 10.0  # times as long as publishing took, it is not tried again: it never takes more than a tenth of the time

_log = logs.logger("curator")


class Schedule:
    """`name` is this process's own among curators; `monotonic` gives seconds, `clock` Unix milliseconds."""

    def __init__(
        self,
        models: dict[str, ModelState],
        scanning: Scanning,
        setting_aside: SettingAside,
        restoring: Restoring,
        lease: PublisherLease,
        objects: Objects,
        fleetstate: FleetState,
        evidence: EvidenceCounts,
        blobs: SharedBlobs,
        settings: Settings,
        name: str,
        monotonic: Callable[[], float],
        clock: Callable[[], int],
    ) -> None:
        self._setting_aside = setting_aside
        self._models, self._scanning, self._restoring, self._objects = models, scanning, restoring, objects
        self._fleetstate, self._evidence, self._blobs = fleetstate, evidence, blobs
        self._lease, self._publishes = lease, False
        self._labelers: frozenset[str] = frozenset()
        self._settings, self._name, self._monotonic = settings, name, monotonic
        self._on_change = on_change.OnChange()
        self._excluded: frozenset[str] = frozenset()
        self._erasures: dict[str, erasures.Erasure] = {}  # by uid
        self._rules = NOTHING_ERASED
        self._erasing, self._clock = erasing.Erasing(blobs, monotonic, clock), clock
        self._retention = dataset_retention.DatasetRetention(objects, blobs, monotonic, settings.keep_datasets_seconds)
        self._audit_at_s = float("-inf")
        self._report_at_s = self._rescan_at_s = self._retry_refused_at_s = self._retention_at_s = float("-inf")

    def tick(self) -> None:
        """Do what is due. Trouble with one model or server is logged once and does not stop the others."""
        now = self._monotonic()
        self._lead(now)
        report = now >= self._report_at_s
        if report:
            self._report_at_s = now + _REPORT_S
            self._guard("models", self._follow)
            self._guard("labelers", self._look_after_labelers)
        if self._publishes:
            self._guard("erasures", self._erase)
        if now >= self._rescan_at_s:
            self._rescan_at_s = now + self._settings.rescan_seconds
            self._guard("scan", self._scan, now)
        for model, state in self._models.items() if self._publishes else ():
            self._guard(f"catalogue of {model}", self._restoring.keep_up, state)
            self._guard(f"dataset of {model}", self._publish, state, now)
            if report and state.loaded:
                self._guard("reading", self._report, state)
        if self._publishes and now >= self._retention_at_s:
            self._retention_at_s = now + min(_RETENTION_S, self._settings.keep_datasets_seconds / 2)
            for model, state in list(self._models.items()):
                self._guard(f"old datasets of {model}", self._remove_old_datasets, state)
                self._guard(f"old examples of {model}", self._remove_old_examples, state)

    def publish_now(self) -> None:
        """Publish what changed, whether due or not, and let another publish: before the process ends."""
        for model, state in self._models.items() if self._publishes else ():
            state.tried_at_s = float("-inf")
            self._guard(f"dataset of {model}", self._publish, state, self._monotonic())
        self._lease.release()

    def _lead(self, now: float) -> None:
        """Who begins to publish reads what was published; who ceases to forgets it, for others go on from it."""
        if (publishes := self._lease.holds()) != self._publishes:
            self._publishes, self._report_at_s, self._audit_at_s = publishes, now, now
            for state in self._models.values():
                state.is_stale = True

    def _look_after_labelers(self) -> None:
        """What one that ended had not done is found by a look at everything."""
        self._fleetstate.put(contract.labeler_reading(self._name), "{}", ttl_s=contract.READING_TTL_S)
        if self._publishes:
            labelers = frozenset(self._fleetstate.get(contract.LABELER_READINGS))
            if gone := self._labelers - labelers:
                _log.info("labelers_gone", labelers=sorted(gone))
                self._scanning.rescan(list(self._models), full=True)
            self._labelers = labelers
        else:
            for state in self._models.values():
                state.forget_rows()

    def _guard(self, what: str, act: Callable[..., None], *args: object) -> None:
        try:
            act(*args)
            self._on_change.forget(what)
        except errors.SkerryError as exc:
            if self._on_change.differs(what, str(exc)):
                _log.warning("curator_waits", what=what, message=str(exc))

    def _follow(self) -> None:
        """Keep a state for each EdgeModel that there is, and for no other."""
        wanted = {resource.name: resource for resource in self._objects.list("EdgeModel")}
        for gone in self._models.keys() - wanted.keys():
            del self._models[gone]
        fleet = self._fleet()
        self._excluded = exclusions.nodes(one.spec for one in self._objects.list("Exclusion"))
        rollouts = self._objects.list("ModelRollout")
        self._evidence.follow(comparisons.by_model((one.spec, one.status) for one in rollouts))
        self._follow_erasures()
        for name, resource in wanted.items():
            self._guard(f"EdgeModel {name}", self._adopt, name, resource, fleet)

    def _follow_erasures(self) -> None:
        found = self._objects.list("Erasure")
        standing = {one.name: one for one in erasures.standing((one.name, one.spec, {}) for one in found)}
        by_uid = {one.uid: standing[one.name] for one in found if one.name in standing}
        if by_uid != self._erasures:
            self._erasures, self._rules = by_uid, erasures.Rules(by_uid.values())

    def _erase(self) -> None:
        for model, state in self._models.items():
            found, state.to_erase = state.to_erase, {}
            self._erasing.late(self._erasures, model, found)
        self._erasing.step(self._erasures)

    def _fleet(self) -> contributions.Fleet:
        """The nodes that count, and those among them that a person trusts."""
        nodes: list[specs.EdgeNode] = []
        for node in self._objects.list("EdgeNode"):
            with contextlib.suppress(errors.InputError):  # the controller says so
                nodes.append(specs.parse_node(node.name, node.spec, node.status))
        counted = membership.members(nodes)
        return contributions.Fleet(len(counted), tuple(sorted(node.name for node in counted if node.trusted)))

    def _adopt(self, name: str, resource: Object, fleet: contributions.Fleet) -> None:
        model = specs.parse_edge_model(name, resource.spec)
        task, state = label_task.of(model), self._models.get(name)
        if state is None or state.task != task or self._is_stale(state):
            stored_rows = StoredRows(self._blobs, task, self._setting_aside)
            publisher = datasets.Publisher(self._blobs, task, stored_rows)
            queue = TeachingQueue(task.rows_at_once(self._settings.batch_rows))
            before, most = state, self._settings.max_captured_bytes
            state = self._models[name] = ModelState(
                task, publisher, queue, most, self._excluded, self._rules, publishes=self._publishes
            )
            if before is not None:
                state.take_over(before)
        state.base_digest = model.dataset_digest or None
        state.fleet, state.keep_examples = fleet, model.keep_examples

    def _is_stale(self, state: ModelState) -> bool:
        return state.is_stale or state.excluded != self._excluded or state.erased is not self._rules

    def _scan(self, now: float) -> None:
        if now >= self._retry_refused_at_s:
            self._retry_refused_at_s = now + _RETRY_REFUSED_S
            for state in self._models.values():
                state.forget_teacher_refusals()
        full = now >= self._audit_at_s
        if full:
            self._audit_at_s = now + self._settings.audit_seconds
        self._scanning.rescan([name for name, state in self._models.items() if full or state.scan is None], full=full)

    def _publish(self, state: ModelState, now: float) -> None:
        since_s = now - state.tried_at_s
        if not state.loaded or since_s < state.rest_s or not due(state.unpublished, since_s, self._settings):
            return
        if not self._lease.holds():
            return
        state.tried_at_s = now
        digest = state.published.digest if state.published else ""
        published = state.publish()
        self._restoring.settle(state)
        state.rest_s = _REST * (self._monotonic() - now)
        if published is not None and published.digest != digest:
            _log.info("dataset_published", model=state.task.model, digest=published.digest, captured=published.captured)

    def _remove_old_datasets(self, state: ModelState) -> None:
        """Not before it is known what the newest dataset is."""
        if state.published is not None:
            self._retention.sweep(state.task.model, state.published.digest, state.held_parts)

    def _remove_old_examples(self, state: ModelState) -> None:
        """What the model knows of its rows is read again when any went."""
        model, folder = state.task.model, contract.examples_folder(state.task.model)
        if not state.keep_examples:
            return
        stored = [
            example_retention.Stored(entry.path.rpartition("/")[2], entry.size_bytes, int(1000 * entry.modified_unix_s))
            for entry in self._blobs.entries(folder)
        ]
        if self._erasing.retire(model, example_retention.due(stored, state.keep_examples, self._clock())):
            state.is_stale = True

    def _report(self, state: ModelState) -> None:
        counts, published = state.captured_rows.counts, state.published
        body = {
            "labeled": counts.labeled,
            "hard": counts.hard,
            "exploration": counts.exploration,
            "truths": counts.truths,
            "datasetDigest": published.digest if published else "",
            "baseDigest": state.published_base,
            "captured": published.captured if published else 0,
            "overBudget": published.over_budget if published else 0,
            "sinceUnixMs": published.since_unix_ms if published else 0,
            **state.backlog.to_json(),
        }
        self._fleetstate.put(contract.curator_reading(state.task.model), json.dumps(body), ttl_s=contract.READING_TTL_S)


def due(waiting: int, since_s: float, settings: Settings) -> bool:
    """Is it time to publish, `since_s` after the last try, with `waiting` changes since the last dataset?"""
    if waiting <= 0 or since_s < _SHORTEST_PUBLISH_S:
        return False
    return waiting >= settings.publish_examples or since_s >= settings.publish_seconds
