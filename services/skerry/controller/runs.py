"""The life of a TrainingRun: accepted or refused, started as a job, watched, ended in time, its proposal handed on.

Every run comes to a terminal condition (`Succeeded` True or False) with a reason. What the job does is the trainer's
business; what becomes of a proposal is decided in `publish`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.controller import marks, publish
from skerry.controller.jobs.protocol import Job, Jobs, State
from skerry.controller.store import Store
from skerry.core import digests, errors, specs

log = logs.logger("controller")

MAX_LOG_BYTES = 1 << 20
MAX_STARTS = 3  # of one run whose job was killed from outside


class Action(Enum):
    START = "Start"
    WAIT = "Wait"
    STOP = "Stop"
    COLLECT = "Collect"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a run now, and why."""

    action: Action
    reason: str
    message: str = ""


def decide(job: Job, *, starts: int, age_s: float, timeout_s: float, proposed: bool, free: bool) -> Step:
    """The next step of an accepted run that is not terminal.

    `starts` counts how often its job was started, `age_s` is the time since the first start, `proposed` whether a
    proposal lies in object storage, `free` whether another job may run now.
    """
    if starts and proposed and job.state is not State.RUNNING:
        return Step(Action.COLLECT, "Proposed")
    if starts and age_s > timeout_s:
        return Step(Action.STOP, "Timeout", f"the job took longer than timeoutSeconds = {timeout_s:g}")
    if job.state is State.RUNNING:
        return Step(Action.WAIT, "Training", f"start {starts} of at most {MAX_STARTS}")
    if job.state is State.ENDED and job.exit_code is not None and job.exit_code >= 0:
        return Step(Action.STOP, "TrainerFailed", f"the job ended with code {job.exit_code} and proposed nothing")
    if starts >= MAX_STARTS:
        return Step(Action.STOP, "TrainerKilled", f"the job was killed {starts} times")
    if not free:
        return Step(Action.WAIT, "Queued", "another training job runs")
    return Step(Action.START, "Training", f"start {starts + 1} of at most {MAX_STARTS}")


class Runs:
    """Drives all TrainingRuns by one step each."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        blobs: Blobs,
        publisher: publish.Publisher,
        max_jobs: int,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._blobs = blobs
        self._publisher = publisher
        self._max_jobs = max_jobs

    def all(self) -> list[Object]:
        """Oldest first; ends the jobs of runs that somebody deleted."""
        runs = sorted(self._store.list("TrainingRun"), key=lambda run: (run.created_unix_ms, run.name))
        for name in set(self._jobs.names()) - {run.name for run in runs}:
            log.warning("training_orphan_ended", run=name)
            self._jobs.stop(name)
        return runs

    def step(self, run: Object, *, now_ms: int) -> None:
        """Move one run on. Raises what the adapters raise; running it again is always right."""
        if marks.is_terminal(run.status):
            self._forget(run.name)
            return
        try:
            spec, model = self._check(run)
        except (errors.InputError, errors.IntegrityError) as exc:
            self._finish(run, "Invalid", str(exc), now_ms)
            return
        started_ms = int(run.status.get("startedUnixMs", 0))
        step = decide(
            self._jobs.poll(run.name),
            starts=int(run.status.get("job", {}).get("starts", 0)),
            age_s=(now_ms - started_ms) / 1000,
            timeout_s=spec.retrain(model.spec.get("retrain", {})).timeout_s,
            proposed=self._blobs.exists(f"proposals/{run.name}.json"),
            free=len([name for name in self._jobs.names() if self._jobs.poll(name).state is State.RUNNING])
            < self._max_jobs,
        )
        self._act(run, step, now_ms)

    def interrupt(self, *, now_ms: int) -> None:
        """End all jobs because this controller was told to stop. It is not counted against the runs."""
        for run in self.all():
            if self._jobs.poll(run.name).state is not State.RUNNING:
                continue
            self._jobs.stop(run.name)
            starts = max(0, int(run.status.get("job", {}).get("starts", 0)) - 1)
            status = {**run.status, "job": {"starts": starts}}
            text = "the controller was told to stop; the next one starts the job again"
            self._store.put_status(run, marks.mark(status, "Running", "False", "Interrupted", text, now_ms))
            log.info("training_interrupted", run=run.name, model=run.spec.get("model"))

    def _act(self, run: Object, step: Step, now_ms: int) -> None:
        if step.action is Action.START:
            self._start(run, step, now_ms)
        elif step.action is Action.WAIT:
            running = "True" if step.reason == "Training" else "False"
            status = marks.mark(run.status, "Accepted", "True", "Valid", "", now_ms)
            self._store.put_status(run, marks.mark(status, "Running", running, step.reason, step.message, now_ms))
        elif step.action is Action.STOP:
            self._finish(run, step.reason, f"{step.message}{self._last_words(run.name)}", now_ms)
        else:
            self._collect(run, now_ms)

    def _check(self, run: Object) -> tuple[specs.TrainingRun, Object]:
        spec = specs.parse_training_run(run.name, run.spec)
        model = self._store.get("EdgeModel", spec.model)
        if specs.parse_edge_model(spec.model, model.spec).network is None:
            raise errors.InputError(f"EdgeModel {spec.model} names no network: it is served and cannot be retrained")
        dataset = f"datasets/{spec.model}/{digests.hex_of(spec.dataset_digest)}"
        if not self._blobs.exists(dataset):
            raise errors.NotFoundError(
                f"TrainingRun {run.name} pins dataset {spec.dataset_digest}, which nobody stored"
            )
        return spec, model

    def _start(self, run: Object, step: Step, now_ms: int) -> None:
        """The start is counted before it happens: a controller that dies in between cannot start for ever."""
        starts = int(run.status.get("job", {}).get("starts", 0)) + 1
        first = run.status.get("startedUnixMs") or now_ms
        status = {**run.status, "startedUnixMs": first, "job": {"starts": starts}}
        status = marks.mark(status, "Accepted", "True", "Valid", "", now_ms)
        status = marks.mark(status, "Running", "True", step.reason, step.message, now_ms)
        run = self._store.put_status(run, status)
        self._jobs.start(run.name, {"SKERRY_RUN": run.name})
        log.info(
            "training_started",
            run=run.name,
            model=run.spec["model"],
            dataset=run.spec["datasetDigest"],
            reason=run.spec.get("reason", ""),
            start=starts,
        )

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
        status: Mapping[str, object] | None = None,
        succeeded: bool = False,
    ) -> None:
        final = {**(run.status if status is None else status), "finishedUnixMs": now_ms}
        if data := self._jobs.log(run.name, MAX_LOG_BYTES):
            final["logDigest"] = blob_store.put(self._blobs, data)
        if reason == "Invalid":
            final = marks.mark(final, "Accepted", "False", reason, message, now_ms)
        final = marks.mark(final, "Running", "False", reason, message, now_ms)
        final = marks.mark(final, "Succeeded", "True" if succeeded else "False", reason, message, now_ms)
        self._store.put_status(run, final)
        tell = log.info if succeeded else log.warning
        tell("training_ended", run=run.name, model=run.spec.get("model"), reason=reason, message=message)
        self._forget(run.name)

    def _forget(self, name: str) -> None:
        if self._jobs.poll(name).state is not State.ABSENT:
            self._jobs.stop(name)

    def _last_words(self, name: str) -> str:
        """What the job said last, for a person who asks why: an event's own error text, else the last line."""
        lines = self._jobs.log(name, 8192).decode(errors="replace").strip().splitlines()
        if not lines:
            return ""
        try:
            event = json.loads(lines[-1])
            said = str(event.get("error") or event.get("message") or event.get("event"))
        except (ValueError, AttributeError, RecursionError):
            said = lines[-1]
        return f"; its last words: {said[:400]}"
