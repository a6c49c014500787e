"""May this version be proposed? One verdict from named gates, each with one of four outcomes and a reason.

Both versions answer the same holdout rows, so they are compared in pairs. A gate that lacks its data is never a pass.
Nothing is measured here: `Measurements` come from the trainer, which ran the shipped file through the serving runtime.
The gates themselves are elsewhere, by subject: `class_gates`, `quality_gates`, `forecast_gates`, `contributor_gates`.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

ALPHA = 0.05


class Outcome(enum.StrEnum):
    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


# The worst outcome of any gate is the verdict's.
SEVERITY = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.ERROR)


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """EdgeModel.spec.gates. A minimum or maximum of 0 is not asked. Of a forecast the margins and `max_int8_loss` are
    shares of the loss, the margin of a class is that of a time block, and what is of classes alone is not asked."""

    margin_permille: int = 10
    class_margin_permille: int = 50
    min_holdout: int = 500
    min_accuracy_permille: int = 0
    max_size_bytes: int = 0
    max_latency_us: int = 0
    max_int8_loss_permille: int = 10
    max_fragile_permille: int = 250
    min_class_recall_permille: int = 100
    max_calibration_error_permille: int = 100
    max_label_error_permille: int = 50
    node_margin_permille: int = 100


# By task; what is lost with a forecast is told from chance less well than how often a class is wrong.
DEFAULTS = {
    "Classification": GatePolicy(),
    "Forecast": GatePolicy(
        margin_permille=50,
        class_margin_permille=500,
        min_class_recall_permille=0,
        max_calibration_error_permille=0,
        max_label_error_permille=0,
        node_margin_permille=0,
    ),
}


class Judged(Protocol):
    """One kind of holdout rows with what was answered on them, of any task."""

    def judge(self, policy: GatePolicy) -> list["Gate"]: ...


@dataclass(frozen=True, slots=True)
class Measurements:
    """All that was measured. `None`: not measured. `failures`: gates' names with what went wrong on the way."""

    holdouts: Sequence[Judged]
    size_bytes: int | None = None
    latency_us: float | None = None
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    outcome: Outcome
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    reason: str
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS

    def to_json(self) -> dict[str, Any]:
        """For objects and blobs: {outcome, reason, gates: [{name, outcome, reason, numbers}]}; no NaN in it."""
        gates = [asdict(gate) | {"outcome": gate.outcome.value, "numbers": dict(gate.numbers)} for gate in self.gates]
        return {"outcome": self.outcome.value, "reason": self.reason, "gates": gates}


def judge(policy: GatePolicy, measured: Measurements, further: Sequence[Gate] = ()) -> Verdict:
    """Every gate, `further` ones among them, and their common verdict: the worst outcome, with the reasons of the gates
    that have it."""
    gates = [Gate(name, Outcome.ERROR, reason) for name, reason in sorted(measured.failures.items())]
    if not measured.holdouts:
        gates.append(Gate("holdout", Outcome.INCONCLUSIVE, "there is no holdout: import one, nothing can be judged"))
    for holdout in measured.holdouts:
        gates += holdout.judge(policy)
    gates += [*_budgets(policy, measured), *further]
    worst = max((gate.outcome for gate in gates), key=SEVERITY.index)
    deciding = [f"{gate.name}: {gate.reason}" for gate in gates if gate.outcome is worst]
    reason = f"all {len(gates)} gates passed" if worst is Outcome.PASS else "; ".join(deciding)
    return Verdict(worst, reason, tuple(gates))


def _budgets(policy: GatePolicy, measured: Measurements) -> list[Gate]:
    """Absolute budgets, only those that are asked."""
    asked: list[tuple[str, float | None, int, str]] = [
        ("size", measured.size_bytes, policy.max_size_bytes, "bytes"),
        ("latency", measured.latency_us, policy.max_latency_us, "µs"),
    ]
    gates = []
    for name, value, limit, unit in asked:
        if not limit:
            continue
        if value is None:
            gates.append(Gate(name, Outcome.INCONCLUSIVE, f"not measured; at most {limit} {unit} are allowed"))
            continue
        outcome = Outcome.PASS if value <= limit else Outcome.FAIL
        text = f"{value:.0f} {unit}, at most {limit} are allowed"
        gates.append(Gate(name, outcome, text, {"found": float(value), "limit": float(limit)}))
    return gates
