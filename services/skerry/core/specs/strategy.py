"""How a version reaches a fleet: waves, what each asks for, and the comparison of canary with baseline.

The same fields stand in EdgeModel.spec.rollout (for rollouts that the controller makes) and in ModelRollout.spec.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from skerry.core.specs.reader import Amount, Reader, read

NONE = Amount(0)

DESIRED = ("Proceed", "Abort")
BASELINES = ("Concurrent", "Historical")
LIVE = frozenset({"paused", "desired", "resumedAttempt", "resumedPause", "promotedAttempt", "promotedWave"})
MAX_WAVES = 20
MAX_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Analysis:
    """How canary and baseline are compared (`core.evidence`).

    `required`: without a comparison no wave passes while nodes still run the stable version. `margin_permille`: so
    much worse is still the same; `harm_permille`: more than this worse is harm. `baseline`: nodes on stable at the same
    time, or (`Historical`) also the stable version in the `history_s` before the rollout.
    """

    required: bool = True
    margin_permille: int = 20
    harm_permille: int = 50
    min_samples: int = 200
    alpha_ppm: int = 50_000
    baseline: str = "Concurrent"
    history_s: int = 600


@dataclass(frozen=True, slots=True)
class WaveSpec:
    """`size`: how many nodes of the fleet have the version when this wave is done (cumulative)."""

    name: str
    size: Amount
    soak_s: int = 900
    min_updated_percent: int = 80
    min_reachable_percent: int = 50
    max_failures: Amount = NONE


DEFAULT_WAVES = (
    WaveSpec("canary", Amount(1)),
    WaveSpec("tenth", Amount(10, percent=True)),
    WaveSpec("rest", Amount(100, percent=True)),
)


@dataclass(frozen=True, slots=True)
class RolloutStrategy:
    """EdgeModel.spec.rollout. `automatic`: the controller starts a rollout for every published version."""

    fleet: str = "all"
    automatic: bool = True
    waves: tuple[WaveSpec, ...] = DEFAULT_WAVES
    analysis: Analysis = Analysis()
    judge_timeout_s: int = 86_400
    progress_deadline_s: int = 3600
    preload_ahead: int = 1


@dataclass(frozen=True, slots=True)
class ModelRollout:
    """ModelRollout.spec. What people do while it runs: `paused`, `desired`, `resumed_*`, `promoted_*`. `fingerprint` is
    a digest of everything else as it was written: when it changes, another attempt begins.

    `resumed_pause` clears the pauses of attempt `resumed_attempt` up to that number; `promoted_wave` (an index) passes
    the waves of attempt `promoted_attempt` up to that one without evidence.
    """

    name: str
    model: str
    version: str
    strategy: RolloutStrategy
    paused: bool = False
    desired: str = "Proceed"
    resumed_attempt: int = 0
    resumed_pause: int = 0
    promoted_attempt: int = 0
    promoted_wave: int = -1
    retry_token: str = ""
    rollback: bool = False
    fingerprint: str = ""

    @property
    def aborted(self) -> bool:
        return self.desired == "Abort"


def parse_rollout(name: str, spec: Mapping[str, Any]) -> ModelRollout:
    """Raises InputError naming the field."""
    parsed = read("ModelRollout", name, "spec", spec, lambda reader: _rollout(name, reader))
    # Of the text as written: a release of skerry with another default must not start every old rollout again.
    fixed = {key: value for key, value in spec.items() if key not in LIVE}
    return replace(parsed, fingerprint=hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16])


def strategy(reader: Reader) -> RolloutStrategy:
    """The fields of EdgeModel.spec.rollout."""
    return _strategy(reader, automatic=reader.flag("automatic", True))


def _rollout(name: str, reader: Reader) -> ModelRollout:
    return ModelRollout(
        name=name,
        model=reader.name("model"),
        version=reader.name("version"),
        strategy=_strategy(reader, automatic=True),
        paused=reader.flag("paused", False),
        desired=reader.text("desired", "Proceed", among=DESIRED),
        resumed_attempt=reader.integer("resumedAttempt", 0),
        resumed_pause=reader.integer("resumedPause", 0),
        promoted_attempt=reader.integer("promotedAttempt", 0),
        promoted_wave=reader.integer("promotedWave", -1, -1, MAX_WAVES),
        retry_token=reader.text("retryToken", "", limit=200),
        rollback=reader.flag("rollback", False),
    )


def _strategy(reader: Reader, *, automatic: bool) -> RolloutStrategy:
    default = RolloutStrategy()
    waves = reader.each("waves", read_wave, limit=MAX_WAVES) or default.waves
    names = [wave.name for wave in waves]
    if len(set(names)) != len(names):
        raise reader.fault("waves", f"must have names that differ, not {', '.join(names)}")
    if waves[-1].size != Amount(100, percent=True):
        raise reader.fault("waves", f'must end with a wave of size "100%", or nodes would be left out; not {names[-1]}')
    return RolloutStrategy(
        fleet=reader.name("fleet", default.fleet),
        automatic=automatic,
        waves=waves,
        analysis=reader.inner("analysis", _analysis),
        judge_timeout_s=reader.integer("judgeTimeoutSeconds", default.judge_timeout_s, 1, MAX_SECONDS),
        progress_deadline_s=reader.integer("progressDeadlineSeconds", default.progress_deadline_s, 1, MAX_SECONDS),
        preload_ahead=reader.integer("preloadAhead", default.preload_ahead, 0, MAX_WAVES),
    )


def wave_json(wave: WaveSpec) -> dict[str, Any]:
    return {
        "name": wave.name,
        "size": str(wave.size),
        "soakSeconds": wave.soak_s,
        "minUpdatedPercent": wave.min_updated_percent,
        "minReachablePercent": wave.min_reachable_percent,
        "maxFailures": str(wave.max_failures),
    }


def read_wave(reader: Reader) -> WaveSpec:
    """As `wave_json` writes it, or a person with defaults."""
    return WaveSpec(
        name=reader.name("name"),
        size=reader.amount("size", Amount(100, percent=True), low=1),
        soak_s=reader.integer("soakSeconds", 900, 0, MAX_SECONDS),
        min_updated_percent=reader.integer("minUpdatedPercent", 80, 1, 100),
        min_reachable_percent=reader.integer("minReachablePercent", 50, 0, 100),
        max_failures=reader.amount("maxFailures", NONE),
    )


def _analysis(reader: Reader) -> Analysis:
    default = Analysis()
    return Analysis(
        required=reader.flag("required", default.required),
        margin_permille=reader.integer("marginPermille", default.margin_permille, 1, 1000),
        harm_permille=reader.integer("harmPermille", default.harm_permille, 0, 1000),
        min_samples=reader.integer("minSamples", default.min_samples, 1, 10**9),
        alpha_ppm=reader.integer("alphaPpm", default.alpha_ppm, 1, 500_000),
        baseline=reader.text("baseline", default.baseline, among=BASELINES),
        history_s=reader.integer("historySeconds", default.history_s, 1, 86_400),
    )
