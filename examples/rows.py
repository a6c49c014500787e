"""From what was played to the rows of results.json, and what is held against the system's own counts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from examples import battery, score
from examples.battery import Battery
from examples.client import Answer
from examples.loop import Played
from examples.results import Row
from examples.scenario import Barred, Scenario
from examples.spans import Spans
from skerry.core import specs
from skerry.core.tasks import Forecast


def of_missing(example: Barred, seed: int) -> list[Row]:
    return [
        Row(example.name, metric, None, str(bar), None, (seed,), example.data, note=f"{example.data}.gz is missing")
        for metric, bar in example.bars.items()
    ]


def of_broken(example: Barred, seed: int, why: str) -> list[Row]:
    """The loop did not close: no version, no rollout, nothing to measure."""
    return [
        Row(example.name, metric, None, str(bar), False, (seed,), example.data, note=f"broke off: {why}")
        for metric, bar in example.bars.items()
    ]


def of_played(
    example: Scenario, seed: int, played: Played, cut: Spans, model: specs.EdgeModel, sha256: str
) -> list[Row]:
    """Of at least one answer in the final. A row says whose answers it is of: naive forecasts are no version's."""
    task = model.task
    assert isinstance(task, Forecast)
    digests = {answer.digest for answer in played.final}
    digest = played.final[-1].digest
    scores = score.of(played.final, cut.final, digest, task.naive)
    assert scores is not None
    left_out = ", ".join(f"{reason} {count}" for reason, count in cut.left_out.items())
    notes = [*played.notes, *([f"{len(digests)} versions answered the final"] if len(digests) > 1 else [])]

    def row(
        metric: str,
        value: float,
        whose: _Whose,
        baseline: float | None = None,
        note: str = "",
        made_by: tuple[str, str] = (played.run, played.rollout),
    ) -> Row:
        bar = example.bars.get(metric)
        return Row(
            scenario=example.name,
            metric=metric,
            value=round(value, 6),
            bar=str(bar) if bar else "",
            passed=bar.holds(value) if bar else None,
            seeds=(seed,),
            data=example.data,
            baseline=None if baseline is None else round(baseline, 6),
            n=sum(whose.by_node.values()),
            data_sha256=sha256,
            version_digest=whose.digest,
            answered_by=whose.by_node if whose.digest else {},
            run=made_by[0],
            rollout=made_by[1],
            cpu_s=round(played.cpu_s, 1),
            note="; ".join([note, *notes] if note else notes),
        )

    mine = _whose(played.final, digest)
    nobodys = _Whose("", mine.by_node)
    made = [
        replace(row("mae", scores.mae, mine, min(scores.naive.values(), default=None)), float_value=_float(played)),
        *(row(f"mae_naive_{season}", error, nobodys) for season, error in scores.naive.items()),
        row("coverage", scores.coverage, mine, task.coverage),
        row("hardest_tenth_ratio", scores.hardest_tenth_ratio, mine),
        row("answered", scores.n, mine, cut.moments, f"left out: {left_out}" if left_out else ""),
    ]
    if example.battery is not None:
        made += [
            row(name, value, mine if is_ours else nobodys, note=note)
            for name, value, is_ours, note in _shaving(example, example.battery, played, cut, digest, task)
        ]
    if played.before:
        first = played.before[0].digest
        before = score.of(played.before, cut.final, first, task.naive)
        assert before is not None
        note = "the same moments, asked after a rollback"
        made.append(row("mae_of_first_version", before.mae, _whose(played.before, first), note=note))
    if played.worse is not None:
        tried = played.worse
        bad = _whose(tried.answers, tried.answers[-1].digest if tried.answers else "")
        made.append(row("worse_refused_by_gates", float(bool(tried.refusal)), bad, note=tried.refusal or "taken"))
        made.append(row("worse_rolled_back", float(tried.is_found), bad, note=f"{tried.rollout}: {tried.why}"))
    if played.changed is not None and played.changed.turned:
        changed = played.changed
        made_by = (changed.run, changed.rollout)
        made += [
            row(name, value, whose, note=note, made_by=made_by) for name, value, whose, note in _won_back(played, cut)
        ]
    return made


def _float(played: Played) -> float | None:
    return None if played.float_mae is None else round(played.float_mae, 6)


def _won_back(played: Played, cut: Spans) -> Iterator[tuple[str, float, "_Whose", str]]:
    """(metric, value, whose, note). Errors are told as the sensor read before: over the factor."""
    changed = played.changed
    assert changed is not None
    y = cut.final.y[:, 0].astype(np.float64)
    digest = played.final[-1].digest
    judged = [answer for answer in played.final if answer.index in changed.judged]

    def error(answers: Sequence[Answer], factor: float) -> float:
        return float(np.mean([abs(answer.value[0] / factor - y[answer.index]) for answer in answers]))

    def whose(answers: Sequence[Answer]) -> _Whose:
        return _whose(answers, answers[-1].digest)

    before, after = error(judged, 1.0), error(changed.after, changed.factor)
    turned = error(changed.turned, changed.factor)
    span = f"the sensor reads {changed.factor:g} times as much, {changed.judged.start} rows of the final before these"
    note = "; ".join([span, *changed.notes])
    yield "mae_before_change", before, _whose(judged, digest), note
    yield "mae_after_change", after, whose(changed.after), note
    yield "mae_after_one_turn", turned, whose(changed.turned), note
    if after > before:
        yield "won_back", (after - turned) / (after - before), whose(changed.turned), note


@dataclass(frozen=True, slots=True)
class _Whose:
    """Answers of which version (empty: of none), counted by node."""

    digest: str
    by_node: Mapping[str, int]


def _whose(answers: Sequence[Answer], digest: str) -> _Whose:
    counted = Counter(answer.node for answer in answers if answer.digest == digest)
    return _Whose(digest, dict(sorted(counted.items())))


def _shaving(
    example: Scenario, wanted: Battery, played: Played, cut: Spans, digest: str, task: Forecast
) -> Iterator[tuple[str, float, bool, str]]:
    """(metric, value, is it of the version's answers, note): mean of the monthly peaks in kW and kWh moved, by whose
    forecasts ran the battery. `no_forecast` expects nothing: what it shaves is the control's, and no forecast's."""
    mine = [answer for answer in played.final if answer.digest == digest]
    at, hours = np.array([answer.index for answer in mine]), task.step_seconds / 3600
    truth = cut.final.y[at].astype(np.float64)
    stamped_at_end = example.choices.midnight == "end-of-day"
    first = task.horizon - task.steps + (0 if stamped_at_end else 1)  # the step begins then
    moment = cut.final.time[at] + first * task.step_seconds * 1000
    month = moment.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    forecasts = {
        "forecast": np.array([answer.value for answer in mine]),
        "upper_end": np.array([answer.high for answer in mine]),
        "perfect_foresight": truth,
        "no_forecast": np.zeros_like(truth),
    }
    seasonal = cut.final.naive[at].astype(np.float64)
    forecasts |= {
        f"naive_{season}": seasonal[:, which]
        for which, season in enumerate(task.naive)
        if np.isfinite(seasonal[:, which]).all()
    }
    plain = battery.without(truth[:, 0], month, hours)
    said = f"{wanted.capacity_kwh:g} kWh, {wanted.power_kw:g} kW, efficiency {wanted.efficiency:g}"
    yield "peak_kw_no_battery", plain.mean_peak_kw, False, _months(plain)
    for name, forecast in forecasts.items():
        shaved, is_ours = battery.run(truth[:, 0], forecast, month, hours, wanted), name in ("forecast", "upper_end")
        yield f"peak_kw_{name}", shaved.mean_peak_kw, is_ours, f"battery of {said}; {_months(shaved)}"
        yield f"moved_kwh_{name}", shaved.moved_kwh, is_ours, f"battery of {said}"


def _months(shaved: battery.Shaved) -> str:
    return "peaks of the months in kW: " + ", ".join(f"{peak:.1f}" for peak in shaved.peak_kw)


def disagreements(played: Played) -> Sequence[str]:
    """Where the agents' own counts are not ours, for people."""
    wrong = []
    of_worse = played.worse.answers if played.worse else []
    of_change = [*played.changed.asked, *played.changed.after, *played.changed.turned] if played.changed else []
    answers = [*played.replay, *played.final, *played.before, *of_worse, *of_change]
    for node, metrics in played.metrics.items():
        kept = sum(bool(answer.token) for answer in answers if answer.node == node)
        told = {outcome: n for (where, outcome), n in played.told.items() if where == node and outcome != "NOT_KEPT"}
        pairs = [('skerry_spool_examples_total{outcome="captured"}', kept)]
        pairs += [(f'skerry_feedback_total{{outcome="{outcome.lower()}"}}', n) for outcome, n in told.items()]
        wrong += [
            f"{node}: {name} is {metrics.get(name)}, and {ours} were counted here"
            for name, ours in pairs
            if metrics.get(name) != ours
        ]
    if played.run and played.run not in played.runs:
        wrong.append(f"`skerry runs --json` does not know {played.run}")
    return wrong
