"""What operators watch of rollouts, runs and versions, as numbers: pure counting over what the objects say now.

A moment that something ended is told as a time and not as an event, so that nothing is missed while nobody looked.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.core import conditions, errors, rollout
from skerry.core.rollout import status as rollout_status

MAX_MODELS = 50  # named; the others together are `other`
MAX_VERSIONS = 10  # of each model, those on the most nodes; the others together are `other`
OTHER = "other"
PHASES = (*rollout_status.STATES, "Paused")
_UNDECIDED = ("Inconclusive", "Error")

ByModel = Mapping[tuple[str, ...], float]  # (model, phase or outcome)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One ModelRollout. Times are Unix ms, 0: not yet."""

    model: str
    phase: str
    started_ms: int
    progress_ms: int
    finished_ms: int
    is_undecided: bool  # the newest verdict of its wave is inconclusive or an error

    @property
    def is_active(self) -> bool:
        return self.phase not in rollout_status.TERMINAL


@dataclass(frozen=True, slots=True)
class Run:
    """One TrainingRun. `outcome`: Running, Waiting, Succeeded, or why it failed in one word."""

    model: str
    outcome: str
    created_ms: int
    finished_ms: int


@dataclass(frozen=True, slots=True)
class Work:
    """Times in Unix seconds, ages in seconds."""

    rollouts: Mapping[str, int] = field(default_factory=dict)  # by phase
    active_s: ByModel = field(default_factory=dict)  # of the oldest that is active
    standing_s: ByModel = field(default_factory=dict)  # of the one that has not moved for the longest
    rollout_ended_s: ByModel = field(default_factory=dict)
    undecided: Mapping[str, int] = field(default_factory=dict)  # by model
    runs: Mapping[str, int] = field(default_factory=dict)  # by outcome
    run_ended_s: ByModel = field(default_factory=dict)
    newest_version_s: Mapping[str, float] = field(default_factory=dict)
    overdue_s: Mapping[str, float] = field(default_factory=dict)


def read_rollout(name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    """What cannot be read counts as Invalid, as the controller tells it."""
    model = str(spec.get("model", ""))
    try:
        said = rollout.from_json(name, dict(status))
    except errors.InputError:
        return Rollout(model, rollout_status.INVALID, 0, 0, 0, False)
    verdict = said.current.verdict.get("result") if said.wave < len(said.waves) and not said.terminal else ""
    return Rollout(model, said.phase, said.started_ms, said.progress_ms, said.finished_ms, verdict in _UNDECIDED)


def read_run(spec: Mapping[str, Any], status: Mapping[str, Any], created_ms: int) -> Run:
    try:
        said = conditions.from_json(status.get("conditions"))
    except errors.InputError:
        said = ()
    ended, running = conditions.find(said, "Succeeded"), conditions.find(said, "Running")
    if ended is not None and ended.status == conditions.TRUE:
        outcome = "Succeeded"
    elif ended is not None and ended.status == conditions.FALSE:
        outcome = ended.reason or "Failed"
    else:
        outcome = "Running" if running is not None and running.true else "Waiting"
    finished = status.get("finishedUnixMs")
    return Run(str(spec.get("model", "")), outcome, created_ms, finished if type(finished) is int else 0)


def work(rollouts: Iterable[Rollout], runs: Iterable[Run], versions: Mapping[str, int], *, now_ms: int) -> Work:
    """`versions`: by model, when its newest version was made (Unix ms)."""
    phases, undecided = collections.Counter(dict.fromkeys(PHASES, 0)), collections.Counter[str]()
    active, standing, ended = _Largest(), _Largest(), _Largest()
    for one in rollouts:
        phases[one.phase] += 1
        undecided[one.model] += one.is_undecided
        if one.is_active and one.started_ms:
            active.put((one.model, one.phase), _age_s(one.started_ms, now_ms))
            standing.put((one.model, one.phase), _age_s(max(one.started_ms, one.progress_ms), now_ms))
        elif one.finished_ms:
            ended.put((one.model, one.phase), one.finished_ms / 1000)
    outcomes, run_ended, waiting = collections.Counter[str](), _Largest(), dict[str, int]()
    for run in runs:
        outcomes[run.outcome] += 1
        if run.finished_ms:
            outcome = run.outcome if run.outcome == "Succeeded" else "Failed"
            run_ended.put((run.model, outcome), run.finished_ms / 1000)
        if run.created_ms > versions.get(run.model, 0):
            waiting[run.model] = min(waiting.get(run.model, run.created_ms), run.created_ms)
    return Work(
        rollouts=phases,
        active_s=active.found,
        standing_s=standing.found,
        rollout_ended_s=ended.found,
        undecided=undecided,
        runs=outcomes,
        run_ended_s=run_ended.found,
        newest_version_s={model: ms / 1000 for model, ms in versions.items()},
        overdue_s={
            model: _age_s(waiting[model], now_ms) if model in waiting else 0.0 for model in {**versions, **waiting}
        },
    )


def version_mix(serving: Mapping[tuple[str, int], int]) -> dict[tuple[str, ...], int]:
    """Nodes by model and version, the bounded many that the most nodes serve by name."""
    by_model: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for (model, version), nodes in serving.items():
        by_model[model].append((nodes, version))
    largest = sorted(by_model, key=lambda model: (-sum(nodes for nodes, _ in by_model[model]), model))
    mix: collections.Counter[tuple[str, ...]] = collections.Counter()
    for rank, model in enumerate(largest):
        for place, (nodes, version) in enumerate(sorted(by_model[model], reverse=True)):
            is_named = rank < MAX_MODELS
            shown = str(version) if is_named and place < MAX_VERSIONS else OTHER
            mix[model if is_named else OTHER, shown] += nodes
    return dict(mix)


class _Largest:
    """The largest number of each key; of models beyond the bound only together."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, ...], float] = {}
        self._models: set[str] = set()

    def put(self, key: Sequence[str], value: float) -> None:
        model, what = key
        if model not in self._models and len(self._models) >= MAX_MODELS:
            model = OTHER
        self._models.add(model)
        self.found[model, what] = max(value, self.found.get((model, what), value))


def _age_s(since_ms: int, now_ms: int) -> float:
    return max(0, now_ms - since_ms) / 1000
