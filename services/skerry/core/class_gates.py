"""The gates of a classifier on one holdout: it learned, it is as good as the version before it, overall and by class,
and int8 keeps what float promises. What else is asked of good answers is in `core.quality_gates`.

Versions are compared in pairs on the same rows (`core.paired`). The imported holdout wants proof; the captured one
begins small, so there the numbers decide where they are sure.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import paired, quality_gates
from skerry.core.gates import ALPHA, Gate, GatePolicy, Outcome
from skerry.core.paired import Classes

_ROUNDING = 1e-9  # of recalls, which are ratios of counts

# Of few rows one or two are chance and no share: a good network would fail on a small holdout by a single answer.
INT8_CHANCE_ROWS = 2


@dataclass(frozen=True, slots=True)
class Holdout:
    """What was answered on one kind of holdout rows, by classes. `baseline` is None when there is no version to compare
    with; `unquantized` are the answers of the float network behind an int8 candidate, None when the candidate is
    float. `distinct`: how many rows differ from each other (None: all); `sure` [n] is the candidate's confidence, as it
    is served, `node` [n] who captured each row (empty: nobody)."""

    origin: str
    class_names: Sequence[str]
    labels: Classes
    candidate: Classes
    baseline: Classes | None = None
    unquantized: Classes | None = None
    distinct: int | None = None
    sure: NDArray[np.float64] | None = None
    node: NDArray[np.bytes_] | None = None

    def judge(self, policy: GatePolicy) -> list[Gate]:
        return _judge_holdout(policy, self)


def _judge_holdout(policy: GatePolicy, holdout: Holdout) -> list[Gate]:
    origin, class_names = holdout.origin, holdout.class_names
    n = len(holdout.labels)
    if n == 0:
        return [Gate(f"{origin}-holdout", Outcome.INCONCLUSIVE, f"the {origin} holdout has no usable rows")]
    imported = origin == "imported"
    gates = [_usable(holdout), _learned(holdout, len(class_names))]
    if imported:
        gates.append(_enough(policy, holdout, class_names))
        if policy.min_accuracy_permille:
            gates.append(_accuracy(policy, holdout))
    gates += quality_gates.judge(policy, holdout)
    if holdout.baseline is not None:
        gates.append(_not_worse(policy, holdout, strict=imported))
        gates.append(_macro(policy, holdout, len(class_names)))
        gates.append(_per_class(policy, holdout, class_names, strict=imported))
    if holdout.unquantized is not None:
        gates.append(_int8(policy, holdout))
    return gates


def _usable(holdout: Holdout) -> Gate:
    bad = int((holdout.candidate < 0).sum())
    name, numbers = f"{holdout.origin}-finite", {"nonFinite": float(bad)}
    if bad:
        return Gate(name, Outcome.FAIL, f"{bad} of {len(holdout.labels)} answers are not finite numbers", numbers)
    return Gate(name, Outcome.PASS, f"all {len(holdout.labels)} answers are finite", numbers)


def _learned(holdout: Holdout, classes: int) -> Gate:
    """Better than guessing: macro recall above 1/classes beyond chance. Zeroed or scrambled weights stop here."""
    per_class = paired.recalls(holdout.labels, holdout.candidate, classes)
    present = ~np.isnan(per_class)
    total = np.bincount(holdout.labels, minlength=classes)[present]
    smoothed = (per_class[present] * total + 1) / (total + 2)
    error = math.sqrt(float((smoothed * (1 - smoothed) / total).sum())) / int(present.sum())
    macro = float(per_class[present].mean())
    chance = 1.0 / max(2, int(present.sum()))
    numbers = {"macroRecall": macro, "low": macro - paired.Z_ONE_SIDED_95 * error, "chance": chance}
    name = f"{holdout.origin}-learned"
    if int(present.sum()) < 2:
        return Gate(name, Outcome.INCONCLUSIVE, f"the {holdout.origin} holdout has rows of one class only", numbers)
    text = f"macro recall {macro:.4f}, guessing gives {chance:.4f}"
    if numbers["low"] > chance:
        return Gate(name, Outcome.PASS, text, numbers)
    surely_not = macro <= chance
    return Gate(name, Outcome.FAIL if surely_not else Outcome.INCONCLUSIVE, f"{text}: no better than chance", numbers)


def _enough(policy: GatePolicy, holdout: Holdout, class_names: Sequence[str]) -> Gate:
    n = len(holdout.labels)
    distinct = n if holdout.distinct is None else holdout.distinct
    total = np.bincount(holdout.labels, minlength=len(class_names))
    absent = [name for name, count in zip(class_names, total, strict=True) if not count]
    name = f"{holdout.origin}-holdout"
    numbers = {"n": float(n), "distinct": float(distinct), "minimum": float(policy.min_holdout)}
    if distinct < policy.min_holdout:
        rows = f"{n} rows" if distinct == n else f"{n} rows, of which {distinct} differ from each other,"
        text = f"{rows} are too few to judge by: {policy.min_holdout} are asked for (gates.minHoldout)"
        return Gate(name, Outcome.INCONCLUSIVE, text, numbers)
    if absent:
        text = f"no rows of {', '.join(absent)}: their recall cannot be judged; import some"
        return Gate(name, Outcome.INCONCLUSIVE, text, numbers)
    return Gate(name, Outcome.PASS, f"{n} rows, every class among them", numbers)


def _accuracy(policy: GatePolicy, holdout: Holdout) -> Gate:
    accuracy, wanted = float((holdout.candidate == holdout.labels).mean()), policy.min_accuracy_permille / 1000
    outcome = Outcome.PASS if accuracy >= wanted else Outcome.FAIL
    numbers = {"accuracy": accuracy, "minimum": wanted}
    return Gate(f"{holdout.origin}-accuracy", outcome, f"{accuracy:.4f}, at least {wanted:.3f} is asked for", numbers)


def _not_worse(policy: GatePolicy, holdout: Holdout, *, strict: bool) -> Gate:
    """Non-inferiority. `strict` wants proof (the whole interval above −margin); else the estimate decides, and only a
    loss that chance explains stays open: the captured holdout begins small."""
    assert holdout.baseline is not None
    pair, margin = paired.compare(holdout.labels, holdout.candidate, holdout.baseline), policy.margin_permille / 1000
    name = f"{holdout.origin}-not-worse"
    numbers = {key: float(value) for key, value in asdict(pair).items()} | {"margin": margin}
    text = (
        f"{pair.baseline:.4f} before, {pair.candidate:.4f} now on {pair.n} rows "
        f"(difference {pair.delta:+.4f}, bounds {pair.low:+.4f} and {pair.high:+.4f}, margin {margin:.3f})"
    )
    if (pair.low if strict else pair.delta) > -margin:
        return Gate(name, Outcome.PASS, text, numbers)
    surely = pair.delta < -margin and paired.worse_by_chance(pair.lost, pair.won) < ALPHA
    return Gate(name, Outcome.FAIL if surely else Outcome.INCONCLUSIVE, text, numbers)


def _macro(policy: GatePolicy, holdout: Holdout, classes: int) -> Gate:
    """Macro recall, because plain accuracy hides a rare class that is lost."""
    assert holdout.baseline is not None
    now = float(np.nanmean(paired.recalls(holdout.labels, holdout.candidate, classes)))
    was = float(np.nanmean(paired.recalls(holdout.labels, holdout.baseline, classes)))
    margin = policy.margin_permille / 1000
    name, text = f"{holdout.origin}-macro-recall", f"{was:.4f} before, {now:.4f} now, margin {margin:.3f}"
    numbers = {"before": was, "now": now, "margin": margin}
    if now - was >= -margin:
        return Gate(name, Outcome.PASS, text, numbers)
    lost, won = _discordant(holdout, np.ones(len(holdout.labels), dtype=np.bool_))
    outcome = Outcome.FAIL if paired.worse_by_chance(lost, won) < ALPHA else Outcome.INCONCLUSIVE
    return Gate(name, outcome, text, numbers)


def _per_class(policy: GatePolicy, holdout: Holdout, class_names: Sequence[str], *, strict: bool) -> Gate:
    """No class may lose more than its margin of recall; a single row never decides. A loss that chance explains (few
    rows) is inconclusive when `strict`, and let pass on the captured holdout, which begins small and is judged as a
    whole beside."""
    assert holdout.baseline is not None
    now = paired.recalls(holdout.labels, holdout.candidate, len(class_names))
    was = paired.recalls(holdout.labels, holdout.baseline, len(class_names))
    rows = np.bincount(holdout.labels, minlength=len(class_names))
    margin, name = policy.class_margin_permille / 1000, f"{holdout.origin}-per-class"
    delta = np.nan_to_num(now - was, nan=0.0)
    numbers = {f"delta:{name}": float(d) for name, d, n in zip(class_names, delta, rows, strict=True) if n}
    allowed = np.maximum(margin, 1 / np.maximum(rows, 1)) + _ROUNDING
    losers = [int(k) for k in np.flatnonzero(delta < -allowed)]
    sure = [k for k in losers if paired.worse_by_chance(*_discordant(holdout, holdout.labels == k)) < ALPHA]
    text = ", ".join(f"{class_names[k]} {was[k]:.3f} → {now[k]:.3f}" for k in losers)
    if sure or (losers and strict):
        outcome = Outcome.FAIL if sure else Outcome.INCONCLUSIVE
        return Gate(name, outcome, f"recall lost beyond the margin of {margin:.3f}: {text}", numbers)
    worst = int(delta.argmin())
    said = f"largest loss of recall: {class_names[worst]} {delta[worst]:+.4f}, margin {margin:.3f}"
    return Gate(name, Outcome.PASS, f"{said}; chance explains {text}" if losers else said, numbers)


def _int8(policy: GatePolicy, holdout: Holdout) -> Gate:
    assert holdout.unquantized is not None
    whole = float((holdout.unquantized == holdout.labels).mean())
    small = float((holdout.candidate == holdout.labels).mean())
    differ = float((holdout.unquantized != holdout.candidate).mean())
    limit = policy.max_int8_loss_permille / 1000 + INT8_CHANCE_ROWS / len(holdout.labels)
    text = f"float {whole:.4f}, int8 {small:.4f}, other answer on {differ:.2%}, at most {limit:.3f} may be lost"
    numbers = {"float": whole, "int8": small, "disagreement": differ, "limit": limit}
    return Gate(f"{holdout.origin}-int8", Outcome.PASS if whole - small <= limit else Outcome.FAIL, text, numbers)


def _discordant(holdout: Holdout, rows: NDArray[np.bool_]) -> tuple[int, int]:
    """(lost, won) among the chosen rows."""
    assert holdout.baseline is not None
    right, was_right = holdout.candidate == holdout.labels, holdout.baseline == holdout.labels
    return int((~right & was_right & rows).sum()), int((right & ~was_right & rows).sum())
