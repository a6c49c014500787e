"""The life of a TrainingRun: accepted or refused, started as a job, watched, ended in time, its proposal handed on.

Every run comes to a terminal condition (`Succeeded` True or False) with a reason. What to do next is decided in
`run_plan`, what the job does is the trainer's business, what becomes of a proposal is decided in `publish`.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.controller import condition_json, erasures, golden_sets, publish, run_plan, stopwatch
from skerry.controller.jobs.protocol import Jobs, Order, State
from skerry.controller.run_plan import Action, Step
from skerry.controller.store import Store
from skerry.core import contract, errors, snapshots, specs

log = logs.logger("controller")

MAX_LOG_BYTES = 1 << 20
_LAST_MESSAGE_BYTES = 8192
_FAILURES = ("error", "critical")  # levels of what ended a job
_START_AGAIN_MS = 5_000  # after a start that the cluster, or this machine, did not take


class Runs:
    """Drives all TrainingRuns by one step each. `ends_jobs`: jobs are to end when this controller is told to stop."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        blobs: Blobs,
        publisher: publish.Publisher,
        max_jobs: int,
        *,
        ends_jobs: bool = True,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._blobs = blobs
        self._publisher = publisher
        self._max_jobs = max_jobs
        self._ends_jobs = ends_jobs
        self.erasures = erasures.Erasures(store, blobs, golden_sets.GoldenSets(store, blobs, publisher))
        self._stopwatch = stopwatch.RunStopwatch()
        self._settled: set[str] = set()  # ended runs of which nothing is left, so far as this process knows
        self._failed_starts: dict[str, tuple[int, str]] = {}  # when, and why

    def begin(self, mono_ms: int) -> list[Object]:
        """A round begins: all runs, as of `all`. `mono_ms`: a monotonic clock."""
        runs = self.all()
        self._stopwatch.tick([run.name for run in runs], mono_ms)
        return runs

    def all(self) -> list[Object]:
        """Oldest first; ends the jobs of runs that somebody deleted."""
        runs = sorted(self._store.list("TrainingRun"), key=lambda run: (run.created_unix_ms, run.name))
        names = {run.name for run in runs}
        for name in set(self._jobs.names()) - names:
            log.warning("training_orphan_ended", run=name)
            self._clear(name)
        self._settled &= names
        return runs

    def are_settled(self, runs: Collection[Object]) -> bool:
        """Is there nothing left to do for any of them?"""
        return all(run.name in self._settled for run in runs)

    def step(self, run: Object, *, now_ms: int) -> None:
        """Move one run on. Raises what the adapters raise; running it again is always right."""
        if condition_json.is_terminal(run.status):
            if run.name not in self._settled:
                self._clear(run.name)
                self._settled.add(run.name)
            return
        try:
            order, model = self._check(run)
        except (errors.InputError, errors.IntegrityError) as exc:
            self._finish(run, "Invalid", str(exc), now_ms)
            return
        erased = self.erasures.verdict(order.model, str(run.spec["datasetDigest"]))
        if erased:
            self._finish(run, erasures.DATA_ERASED, erased, now_ms)
            return
        job, stored = self._jobs.poll(run.name), run.status.get("job", {})
        ran_ms = self._stopwatch.ran_ms(run.name, int(stored.get("ranMs", 0))) if run.status.get("startedUnixMs") else 0
        step = run_plan.decide(
            job,
            starts=int(stored.get("starts", 0)),
            age_s=ran_ms / 1000,
            timeout_s=order.timeout_s,
            proposed=self._blobs.exists(contract.proposal_path(run.name)),
            free=bool(order.template.queue) or self._busy() < self._max_jobs,
            suspend=order.suspend,
        )
        self._stopwatch.idle(run.name, step.idle)
        if erased == "" and step.action in (Action.START, Action.COLLECT):
            step = Step(Action.WAIT, "Erasing", "an erasure is carried out: what it means may be in the dataset", True)
        self._act(run, order, model, step, now_ms, ran_ms)

    def interrupt(self, *, now_ms: int) -> None:
        """This controller was told to stop: end the jobs that are not to go on without it. It is not counted against
        their runs."""
        for run in self.all() if self._ends_jobs else ():
            if self._jobs.poll(run.name).state is not State.RUNNING:
                continue
            self._jobs.stop(run.name)
            job = _without_last_start(run.status.get("job", {}))
            status = {**run.status, "job": job}
            text = "the controller was told to stop; the next one starts the job again"
            self._store.put_status(
                run, condition_json.with_condition(status, "Running", "False", "Interrupted", text, now_ms)
            )
            log.info("training_interrupted", run=run.name, model=run.spec.get("model"))

    def _busy(self) -> int:
        """Jobs that have, or wait for, what trains them."""
        states = [self._jobs.poll(name).state for name in self._jobs.names()]
        return sum(state in (State.RUNNING, State.WAITING) for state in states)

    def _act(self, run: Object, order: Order, model: Object, step: Step, now_ms: int, ran_ms: int) -> None:
        if step.action is Action.START:
            self._start(run, order, model, step, now_ms, ran_ms)
        elif step.action is Action.ADJUST:
            self._jobs.start(order)
            log.info("training_adjusted", run=run.name, model=order.model, reason=step.reason)
        elif step.action is Action.WAIT:
            self._wait(run, step, now_ms, ran_ms)
        elif step.action is Action.STOP:
            _, cannot = self._failed_starts.get(run.name, (0, ""))
            message = f"{step.message}; it could not be started: {cannot}" if cannot else step.message
            self._finish(run, step.reason, message, now_ms, with_last_message=True)
        else:
            self._collect(run, now_ms)

    def _check(self, run: Object) -> tuple[Order, Object]:
        spec = specs.parse_training_run(run.name, run.spec)
        model = self._store.get("EdgeModel", spec.model)
        if specs.parse_edge_model(spec.model, model.spec).network is None:
            raise errors.InputError(f"EdgeModel {spec.model} names no network: it is served and cannot be retrained")
        dataset = contract.dataset_path(spec.model, spec.dataset_digest)
        if not self._blobs.exists(dataset):
            raise errors.NotFoundError(
                f"TrainingRun {run.name} pins dataset {spec.dataset_digest}, which nobody stored"
            )
        retrain = spec.retrain(model.spec.get("retrain") or {})
        return Order(run.name, spec.model, retrain.timeout_s, retrain.template, spec.suspend), model

    def _wait(self, run: Object, step: Step, now_ms: int, ran_ms: int) -> None:
        status = condition_json.with_condition(run.status, "Accepted", "True", "Valid", "", now_ms)
        running = "True" if step.reason == "Training" else "False"
        status = condition_json.with_condition(status, "Running", running, step.reason, step.message, now_ms)
        self._store.put_status(run, run_plan.with_ran_ms(run.status, status, ran_ms))

    def _start(self, run: Object, order: Order, model: Object, step: Step, now_ms: int, ran_ms: int) -> None:
        """The start is counted before it happens: a controller that dies in between cannot start for ever."""
        failed_ms, _ = self._failed_starts.get(run.name, (0, ""))
        if 0 <= now_ms - failed_ms < _START_AGAIN_MS:
            return
        job = dict(run.status.get("job", {}))
        job["starts"] = int(job.get("starts", 0)) + 1
        self._prepare(run, model, first=job["starts"] == 1)
        status = {**run.status, "startedUnixMs": run.status.get("startedUnixMs") or now_ms, "job": job}
        status = condition_json.with_condition(status, "Accepted", "True", "Valid", "", now_ms)
        status = condition_json.with_condition(status, "Running", "False", "Starting", step.message, now_ms)
        run = self._store.put_status(run, run_plan.with_ran_ms(run.status, status, ran_ms))
        try:
            self._jobs.start(order)
        except errors.InputError as exc:
            self._finish(run, "Invalid", str(exc), now_ms)
            return
        except (errors.UnavailableError, errors.RejectedError) as exc:
            self._failed_starts[run.name] = (now_ms, str(exc))
            status = {**run.status, "job": _without_last_start(job)}
            self._store.put_status(
                run, condition_json.with_condition(status, "Running", "False", "CannotStart", str(exc), now_ms)
            )
            return
        self._failed_starts.pop(run.name, None)
        log.info(
            "training_started",
            run=run.name,
            model=order.model,
            dataset=run.spec["datasetDigest"],
            reason=run.spec.get("reason", ""),
            workers=order.template.workers,
            start=job["starts"],
        )

    def _prepare(self, run: Object, model: Object, *, first: bool) -> None:
        """What the job will read; and nothing that an earlier run of this name proposed."""
        stable = snapshots.stable_of(run.spec, model.status)
        version = self._store.find("ModelVersion", stable) if stable else None
        data = snapshots.to_json(run.name, run.spec, model.spec, stable, version.spec if version else None)
        self._blobs.write(contract.snapshot_path(run.name), data)
        if first and self._blobs.exists(contract.proposal_path(run.name)):
            self._blobs.delete(contract.proposal_path(run.name))

    def _collect(self, run: Object, now_ms: int) -> None:
        try:
            outcome = self._publisher.publish_run(run, now_ms=now_ms)
        except (errors.IntegrityError, errors.InputError) as exc:
            self._finish(run, "ProposalRejected", str(exc), now_ms)
            return
        run = self._store.get("TrainingRun", run.name)
        status = {**run.status, "result": outcome.result, "version": outcome.version}
        self._finish(run, outcome.reason, outcome.message, now_ms, status=status, succeeded=bool(outcome.version))

    def _finish(
        self,
        run: Object,
        reason: str,
        message: str,
        now_ms: int,
        *,
        status: Mapping[str, Any] | None = None,
        succeeded: bool = False,
        with_last_message: bool = False,
    ) -> None:
        """Write down how the run ended, with its log, and only then forget the job."""
        final = {**(run.status if status is None else status), "finishedUnixMs": now_ms}
        if data := self._jobs.log(run.name, MAX_LOG_BYTES):
            final["logDigest"] = blob_store.put(self._blobs, data)
            message += _last_message(data[-_LAST_MESSAGE_BYTES:]) if with_last_message else ""
        if reason == "Invalid":
            final = condition_json.with_condition(final, "Accepted", "False", reason, message, now_ms)
        final = condition_json.with_condition(final, "Running", "False", reason, message, now_ms)
        final = condition_json.with_condition(
            final, "Succeeded", "True" if succeeded else "False", reason, message, now_ms
        )
        self._store.put_status(run, final)
        tell = log.info if succeeded else log.warning
        tell("training_ended", run=run.name, model=run.spec.get("model"), reason=reason, message=message)
        self._clear(run.name)

    def _clear(self, name: str) -> None:
        """Leave no job behind, and no snapshot: without it the job's ticket opens nothing any more."""
        if self._jobs.poll(name).state is not State.ABSENT:
            self._jobs.stop(name)
        if self._blobs.exists(contract.snapshot_path(name)):
            self._blobs.delete(contract.snapshot_path(name))
        self._failed_starts.pop(name, None)


def _without_last_start(job: Mapping[str, Any]) -> dict[str, Any]:
    """TrainingRun.status.job without its last start."""
    return {**job, "starts": max(0, int(job.get("starts", 0)) - 1)}


def _last_message(data: bytes) -> str:
    """What the job said last, for a person who asks why: the text of its last error, else its last line of words."""
    lines = [line.strip() for line in data.decode(errors="replace").splitlines() if re.search("[a-z]", line)]
    if not lines:
        return ""
    failures = [event for line in lines if (event := _event(line)).get("error") and event.get("level") in _FAILURES]
    last = _event(lines[-1])
    if failures:
        said = str(failures[-1]["error"])
    else:
        said = str(last.get("error") or last.get("message") or last.get("event") or lines[-1])
    return f"; its last words: {said[:400]}"


def _event(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
