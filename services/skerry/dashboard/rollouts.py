"""A ModelRollout as a ladder of waves: which are done, which one runs, where its nodes stand, what the verdict is."""

from collections.abc import Mapping, Sequence

from skerry.adapters.objects import Object
from skerry.core import conditions, errors, rollout, specs
from skerry.core.rollout import status as states
from skerry.core.tasks import Task
from skerry.dashboard import views

_OFF = "Bad answers (farther from their truth than the version's bound)"


def view(thing: Object, tasks: Mapping[str, Task]) -> views.Rollout:
    """The rollout as people see it; `fault` when what it holds cannot be read. `tasks`: what each model answers."""
    model, version = str(thing.spec.get("model", "")), str(thing.spec.get("version", ""))
    try:
        spec, status = specs.parse_rollout(thing.name, thing.spec), rollout.from_json(thing.name, thing.status)
    except errors.InputError as exc:
        return views.Rollout(
            thing.name,
            model,
            version,
            "Unreadable",
            thing.created_unix_ms,
            False,
            False,
            "",
            (),
            (),
            (),
            (),
            0,
            str(exc),
        )
    return views.Rollout(
        name=thing.name,
        model=model,
        version=version,
        phase=status.phase,
        created_ms=thing.created_unix_ms,
        ended=status.terminal,
        succeeded=status.state == states.SUCCEEDED,
        message=_message(status),
        pause_reasons=status.pause_reasons,
        waves=_waves(spec.strategy.waves, status),
        deferred=status.deferred,
        failed=(*status.failed, *status.incompatible),
        min_samples=spec.strategy.analysis.min_samples,
        bad=_OFF if model in tasks and tasks[model].waits_for_truth else "Bad answers",
        more_deferred=max(0, _counted(status, "deferred") - len(status.deferred)),
        more_failed=max(
            0,
            _counted(status, "failed")
            + _counted(status, "incompatible")
            - len(status.failed)
            - len(status.incompatible),
        ),
    )


def _counted(status: states.Status, kind: str) -> int:
    return sum(int(getattr(wave.tally, kind)) for wave in status.waves)


def _message(status: states.Status) -> str:
    """The sentence of the condition that tells most now."""
    kinds = ("Succeeded",) if status.terminal else ("Paused", "Progressing", "Accepted")
    for kind in kinds:
        condition = conditions.find(status.conditions, kind)
        if condition is not None and (status.terminal or condition.true or (kind == "Accepted" and condition.message)):
            return condition.message or condition.reason
    return ""


def _waves(planned: Sequence[specs.WaveSpec], status: states.Status) -> Sequence[views.Wave]:
    if not status.waves:
        return [views.Wave(wave.name, str(wave.size), "waiting", states.Tally(), 0, False, {}) for wave in planned]
    sizes = {wave.name: str(wave.size) for wave in planned}
    return [
        views.Wave(
            name=wave.name,
            size=str(wave.asks.size) if wave.asks else sizes.get(wave.name, ""),
            step=_step(index, wave, status),
            tally=wave.tally,
            started_ms=wave.started_ms,
            soaking=bool(wave.soak_started_ms) and _step(index, wave, status) == "current",
            verdict=wave.verdict,
        )
        for index, wave in enumerate(status.waves)
    ]


def _step(index: int, wave: states.Wave, status: states.Status) -> str:
    if wave.passed:
        return "overridden" if rollout.result_of(wave.verdict) == states.OVERRIDDEN else "done"
    if not wave.started_ms:
        return "waiting"
    if index == status.wave and status.state in (states.PENDING, states.PROGRESSING):
        return "current"
    return "done" if status.state == states.SUCCEEDED else "failed"
