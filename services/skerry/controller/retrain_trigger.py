"""The retrain policy at work: reads what is known about each model, asks `core.retrain`, starts the run it decides on.

A run that the policy starts is named after its dataset, so the same dataset never starts two.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry.on_change import OnChange
from skerry.controller import condition_json, stopwatch
from skerry.controller.store import Store
from skerry.core import (
    contract,
    datasets,
    digests,
    drift,
    errors,
    exclusions,
    input_sketch,
    intents,
    manifest,
    retrain,
    specs,
)

log = logs.logger("controller")

_FRESH_MS = 30_000  # an older reading says nothing about now


class RetrainTrigger:
    def __init__(self, store: Store, fleetstate: FleetState, blobs: Blobs) -> None:
        self._store, self._fleetstate, self._blobs = store, fleetstate, blobs
        self._on_change = OnChange()
        self._stopwatch, self._mono_ms = stopwatch.Stopwatch(), 0
        self._datasets: dict[str, datasets.DatasetManifest | None] = {}  # by digest: datasets never change
        self._excluded: frozenset[str] = frozenset()
        self._references: dict[str, tuple[int, ...]] = {}  # by digest of the version

    def step(self, *, now_ms: int, mono_ms: int) -> None:
        """Start the runs that are due. Without readings nothing is due: a run is never started on a guess."""
        models, self._mono_ms = self._store.list("EdgeModel"), mono_ms
        self._stopwatch.keep({model.name for model in models})
        models = [model for model in models if _may_retrain(model)]
        if not models:
            return
        try:
            nodes = [_parsed(text) for text in self._fleetstate.get(contract.NODE_READINGS).values()]
            curators = {key: _parsed(text) for key, text in self._fleetstate.get(contract.CURATOR_READINGS).items()}
        except errors.UnavailableError as exc:
            log.debug("readings_unavailable", error=str(exc))
            return
        self._excluded = exclusions.nodes(one.spec for one in self._store.list("Exclusion"))
        runs, rollouts = self._store.list("TrainingRun"), self._store.list("ModelRollout")
        for model in models:
            try:
                self._consider(
                    model, runs, rollouts, nodes, curators.get(contract.curator_reading(model.name), {}), now_ms
                )
                self._on_change.forget(model.name)
            except (errors.InputError, errors.IntegrityError, errors.RejectedError) as exc:
                if self._on_change.differs(model.name, str(exc)):
                    log.warning("policy_failed", model=model.name, error=str(exc))

    def _consider(
        self,
        model: Object,
        runs: Sequence[Object],
        rollouts: Sequence[Object],
        nodes: Sequence[Mapping[str, Any]],
        curator: Mapping[str, Any],
        now_ms: int,
    ) -> None:
        parsed = specs.parse_edge_model(model.name, model.spec)
        if parsed.network is None or not parsed.retrain.enabled:
            return
        mine = sorted((run for run in runs if run.spec.get("model") == model.name), key=lambda run: run.created_unix_ms)
        facts = self._facts(model, mine, rollouts, nodes, curator, now_ms)
        decided = retrain.should_retrain(parsed, facts, now_ms=now_ms)
        if decided.fire:
            self._start(model, mine, facts.dataset, decided)

    def _facts(
        self,
        model: Object,
        runs: Sequence[Object],
        rollouts: Sequence[Object],
        nodes: Sequence[Mapping[str, Any]],
        curator: Mapping[str, Any],
        now_ms: int,
    ) -> retrain.Facts:
        active = [run.name for run in runs if not condition_json.is_terminal(run.status)]
        moving = [
            one.name
            for one in rollouts
            if one.spec.get("model") == model.name and not condition_json.is_terminal(one.status)
        ]
        trained_on = {str(run.spec.get("datasetDigest", "")) for run in runs}
        named = retrain.newest_dataset(curator, str(model.spec.get("datasetDigest", "")))
        dataset = self._newest(model.name, named)
        # Counted from the run that knew most: somebody may train on an old dataset, which makes nothing new.
        known = max((self._captured_in(model.name, one) for one in trained_on), default=0)
        # Where there is a bound the dataset grows no more, though new rows come: old ones make room for them.
        new = _count(curator, "captured") + _count(curator, "overBudget") - known if dataset else 0
        digest, reference = self._stable(model)
        fresh = _fresh(model.name, digest, nodes, now_ms)
        return retrain.Facts(
            new_examples=max(0, new),
            dataset=dataset,
            last_dataset=dataset if dataset in trained_on else "",
            last_run_ms=self._last_run_ms(model.name, runs, now_ms),
            active_run=active[0] if active else "",
            active_rollout=moving[0] if moving else "",
            reference=reference,
            window=_window(fresh),
            truths=_truths(fresh),
            inputs=_inputs(fresh),
        )

    def _last_run_ms(self, model: str, runs: Sequence[Object], now_ms: int) -> int:
        """When the last run ended, 0 for none: as long ago as the monotonic clock says, if this process saw it end."""
        ends = {run.name: int(run.status.get("finishedUnixMs", 0)) for run in runs}
        ended_ms = max(ends.values(), default=0)
        first_ms = max(0, now_ms - ended_ms)
        age_ms = self._stopwatch.age_ms(model, ends, mono_ms=self._mono_ms, first_ms=first_ms)
        return now_ms - age_ms if ended_ms else 0

    def _newest(self, model: str, digest: str) -> str:
        """The dataset that the curator named; empty while it holds rows of an excluded node: the curator makes one
        without them, and did not name it yet."""
        known = self._manifest(model, digest) if digest else None
        return "" if known and exclusions.taught(known, self._excluded) else digest

    def _captured_in(self, model: str, digest: str) -> int:
        """Rows captured until the dataset, of nodes that still count: once a node is forgotten, what others bring is
        new again. 0 for a dataset that cannot be read: the run that pinned it learned nothing from it either."""
        known = self._manifest(model, digest)
        return exclusions.without(known, self._excluded) if known else 0

    def _manifest(self, model: str, digest: str) -> datasets.DatasetManifest | None:
        if digest not in self._datasets:
            try:
                self._datasets[digest] = dataset_store.read_manifest(self._blobs, model, digest)
            except (errors.InputError, errors.IntegrityError):
                self._datasets[digest] = None
        return self._datasets[digest]

    def _stable(self, model: Object) -> tuple[str, tuple[int, ...]]:
        """Digest of the stable version, and its confidence on the holdout (empty when its manifest is not at hand)."""
        version = self._store.find("ModelVersion", str(model.status.get("stableVersion", "")))
        if version is None:
            return "", ()
        digest = str(version.spec.get("digest", ""))
        if digest not in self._references:
            try:
                data = blob_store.fetch(self._blobs, digest, manifest.MAX_BYTES)
                self._references[digest] = manifest.from_json(data).confidence.reference
            except errors.NotFoundError:
                self._references[digest] = ()
        return digest, self._references[digest]

    def _start(self, model: Object, runs: Sequence[Object], dataset: str, decided: retrain.Decision) -> None:
        made = intents.retrain(
            model.name,
            model.spec,
            [(run.name, run.spec, run.status) for run in runs],
            f"auto-{digests.hex_of(dataset)[:10]}",
            dataset=dataset,
            base=str(model.status.get("stableVersion", "")),
            reason=f"{decided.reason}: {decided.message}",
        )
        try:
            self._store.create(made.kind, made.name, made.spec)
        except errors.ConflictError:
            return
        log.info("retrain_fired", model=model.name, run=made.name, reason=decided.reason, message=decided.message)


def _may_retrain(model: Object) -> bool:
    """Of one that cannot be read nobody knows."""
    try:
        parsed = specs.parse_edge_model(model.name, model.spec)
    except errors.InputError:
        return True
    return parsed.network is not None and parsed.retrain.enabled


def _fresh(model: str, digest: str, nodes: Sequence[Mapping[str, Any]], now_ms: int) -> Sequence[Mapping[str, Any]]:
    """Recent readings of the nodes where the stable version serves."""
    return [
        reading
        for reading in nodes
        if digest
        and abs(now_ms - _count(reading, "atUnixMs")) <= _FRESH_MS
        and (reading.get("model"), reading.get("digest")) == (model, digest)
    ]


def _window(readings: Sequence[Mapping[str, Any]]) -> drift.Window:
    """Recent answers of all these nodes."""
    total = drift.Window()
    for reading in readings:
        counts = reading.get("confidenceCounts", [])
        if isinstance(counts, list) and all(type(one) is int for one in counts):
            hard = _count(reading, "offloaded") + _count(reading, "degraded")
            total = total.plus(drift.Window(tuple(counts), _count(reading, "requests"), hard))
    return total


def _inputs(readings: Sequence[Mapping[str, Any]]) -> drift.Inputs:
    """Recent inputs of all these nodes. What cannot be says nothing."""
    total = drift.Inputs()
    for reading in readings:
        rows, sums = _count(reading, "inputRows"), reading.get("inputSums")
        if not isinstance(sums, list) or not 0 < rows <= input_sketch.MAX_ROWS or len(sums) > input_sketch.MAX_FEATURES:
            continue
        farthest = 1.001 * input_sketch.FARTHEST * rows
        if all(isinstance(one, int | float) and abs(one) <= farthest for one in sums):
            total = total.plus(rows, tuple(float(one) for one in sums))
    return total


def _truths(readings: Sequence[Mapping[str, Any]]) -> drift.Truths:
    """The newest truths of all these nodes."""
    total = drift.Truths()
    for reading in readings:
        told, coverage = _count(reading, "truths"), reading.get("coverage")
        if isinstance(coverage, int | float) and 0 <= coverage <= 1 and 0 < told <= contract.MAX_READING_TRUTHS:
            total = total.plus(told, coverage)
    return total


def _count(reading: Mapping[str, Any], field: str) -> int:
    """A whole number of a reading; anything else says nothing."""
    value = reading.get(field, 0)
    return value if type(value) is int else 0


def _parsed(text: str) -> Mapping[str, Any]:
    """A reading; one that is no JSON object says nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
