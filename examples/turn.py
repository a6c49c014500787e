"""What every turn of the loop waits for: the run that was asked for, and the rollout that its version gets while the
series goes on."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from examples.client import Answer
from examples.series_clock import SeriesClock
from examples.spans import Asked
from examples.stack import Stack, has_ended, moving
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.demo.session import write_json
from skerry.core import errors

RUN_S, ROLLOUT_S, POLICY_S, VERDICT_S = 3600.0, 180.0, 60.0, 240.0
LOOK_EVERY = 25  # answers
Note = Callable[[str], None]


class Settles(Protocol):
    """Who has told truths that may be underway."""

    def settle(self) -> None: ...


def runs(seen: Snapshot) -> Sequence[Object]:
    """Oldest first."""
    return event_log.newest(seen.of("TrainingRun"))


def rollouts(seen: Snapshot) -> Sequence[Object]:
    """Oldest first."""
    return event_log.newest(seen.of("ModelRollout"))


def change(stack: Stack, folder: Path, model: str, spec: dict[str, object]) -> None:
    """Apply a part of the EdgeModel's spec, written into `folder`."""
    stack.skerry("models", "apply", str(write_json(folder / "change.json", {"name": model, "spec": spec})))


def wait_for_policy(stack: Stack, agents: Settles, model: str, known: int, note: Note) -> None:
    """Until the policy has started a run beside the `known` ones; else one is asked for by hand, and that is noted."""
    agents.settle()
    try:
        stack.until("the policy fires", lambda seen: len(runs(seen)) > known, POLICY_S)
    except errors.UnavailableError:
        note("the policy did not fire; the run was asked for by hand")
        stack.skerry("retrain", model, "--reason", "by hand: the policy did not fire")


def finish_run(stack: Stack, folder: Path, model: str, number: int, note: Note) -> tuple[Object, bool]:
    """Wait for the run `number`, from 0, and let no further one begin; (the run, did it make a version?)."""
    seen = stack.until("the run has ended", lambda seen: len(runs(seen)) > number and _all_ended(seen), RUN_S)
    change(stack, folder, model, {"retrain": {"enabled": False}})
    run = runs(seen)[number]
    done = event_log.condition(run, "Succeeded")
    if done.get("status") != "True":
        note(f"{run.name} made no version: {done.get('reason')}: {done.get('message')}")
    return run, done.get("status") == "True"


def roll_out(
    stack: Stack, clock: SeriesClock, rows: Asked, start: int, name: str, known: int, note: Note
) -> tuple[Object, list[Answer]]:
    """Ask `rows` from `start` on while the canary of a rollout beside the `known` ones is judged; (the rollout, the
    answers)."""
    stack.until("the rollout begins", lambda seen: len(rollouts(seen)) > known, ROLLOUT_S)
    answers = list[Answer]()
    for index in range(start, len(rows)):
        answers.append(clock.ask(rows, index, name))
        if index % LOOK_EVERY == 0 and not moving(stack.look()):
            break
    else:
        clock.run_out()
    return end_rollout(stack, note), answers


def end_rollout(stack: Stack, note: Note) -> Object:
    """The newest rollout, when it has ended; one that gets no verdict is promoted by hand, and that is noted."""
    try:
        stack.until("the rollout has ended", lambda seen: not moving(seen), VERDICT_S)
    except errors.UnavailableError:
        _promote(stack, note)
    return rollouts(stack.look())[-1]


def _promote(stack: Stack, note: Note) -> None:
    rollout = rollouts(stack.look())[-1]
    note(f"{rollout.name} got no verdict ({_waits_for(rollout)}); promoted by hand")
    while moving(seen := stack.look()) and (waves := rollouts(seen)[-1].status.get("waves")):
        index = _wave(seen)
        with contextlib.suppress(errors.RejectedError):  # it went on by itself meanwhile
            stack.skerry("rollout", "promote", rollout.name, "--wave", waves[index]["name"])
        stack.until("the wave is passed", functools.partial(_has_passed, index), ROLLOUT_S)
    stack.until("the promoted rollout has ended", lambda seen: not moving(seen), ROLLOUT_S)


def _has_passed(wave: int, seen: Snapshot) -> bool:
    return not moving(seen) or _wave(seen) != wave


def _wave(seen: Snapshot) -> int:
    """The index of the wave that stands."""
    return int(rollouts(seen)[-1].status.get("wave", 0))


def _waits_for(rollout: Object) -> str:
    verdicts = [wave.get("verdict") or {} for wave in rollout.status.get("waves", [])]
    said = [str(verdict["reason"]) for verdict in verdicts if verdict.get("reason")]
    return str(rollout.status.get("pauseMessage", "")) or (said[-1] if said else "")


def _all_ended(seen: Snapshot) -> bool:
    return all(map(has_ended, runs(seen)))
