"""What to do next with a training run, and how long it has taken: pure functions of its job and of what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from skerry.controller.jobs.protocol import FINAL, Job, State
from skerry.core.rollout.elapsed import CLOCK_EVERY_MS

MAX_STARTS = 3  # of one run whose job was killed from outside


class Action(Enum):
    START = "Start"
    ADJUST = "Adjust"  # suspend it, or let it go on
    WAIT = "Wait"
    STOP = "Stop"
    COLLECT = "Collect"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a run now, and why. `idle`: the time until the next step is not the run's."""

    action: Action
    reason: str
    message: str = ""
    idle: bool = False


def decide(
    job: Job, *, starts: int, age_s: float, timeout_s: float, proposed: bool, free: bool, suspend: bool = False
) -> Step:
    """The next step of an accepted run that is not terminal.

    `starts` counts how often its job was started, `age_s` is how long it took since its first start, as leaders counted
    it, without what was idle, `proposed` whether a proposal lies in object storage, `free` whether another job may run
    now, `suspend` whether the run asks to be held.
    """
    over = job.state in (State.ABSENT, State.ENDED)
    if starts and proposed and over:
        return Step(Action.COLLECT, "Proposed")
    if age_s > timeout_s:
        text = f"the job took longer than timeoutSeconds = {timeout_s:g}"
        # A job that never ran did not take long: what it waited for is the reason.
        waited = job.reason if job.state is State.WAITING else ""
        return Step(Action.STOP, waited or "Timeout", f"{text}; it waited: {job.message}" if waited else text)
    if not over:
        return _watch(job, starts, suspend)
    if job.state is State.ENDED and (job.reason in FINAL or (job.exit_code is not None and job.exit_code >= 0)):
        reason = job.reason if job.reason in FINAL else "TrainerFailed"
        code = "" if job.exit_code is None else f" with code {job.exit_code}"
        said = f" ({job.message})" if job.message else ""
        return Step(Action.STOP, reason, f"the job ended{code} and proposed nothing{said}")
    if starts >= MAX_STARTS:
        said = f"; the last time: {job.message}" if job.message else ""
        return Step(Action.STOP, "TrainerKilled", f"the job was killed {starts} times{said}")
    if not free:
        return Step(Action.WAIT, "Queued", "another training job runs", idle=True)
    return Step(Action.START, "Training", _nth(starts + 1))


def _watch(job: Job, starts: int, suspend: bool) -> Step:
    """A job that is there and not over."""
    if job.suspend != suspend:
        return Step(Action.ADJUST, "Suspended" if suspend else "Resumed", idle=job.state is State.SUSPENDED)
    if job.state is State.SUSPENDED:
        return Step(Action.WAIT, "Suspended", job.message, idle=True)
    if job.state is State.WAITING:
        return Step(Action.WAIT, job.reason or "Starting", job.message)
    return Step(Action.WAIT, "Training", _nth(starts))


def _nth(start: int) -> str:
    return f"start {start} of at most {MAX_STARTS}"


def with_ran_ms(before: Mapping[str, Any], after: Mapping[str, Any], ran_ms: int) -> dict[str, Any]:
    """TrainingRun.status `after`, with how long the run has taken: written with whatever else changed since `before`,
    for its own sake seldom."""
    stored_ms = int(after.get("job", {}).get("ranMs", 0))
    if not after.get("startedUnixMs") or (after == before and ran_ms - stored_ms < CLOCK_EVERY_MS):
        return dict(after)
    return {**after, "job": {**after.get("job", {}), "ranMs": max(ran_ms, stored_ms)}}
