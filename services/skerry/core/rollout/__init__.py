"""How a version reaches a fleet, wave by wave, judged and reversible: pure decisions over intent, status and reports.

    plan(case, status, nodes, evidence, …) -> Plan             one rollout's next status and assignments
    question(case, status, nodes, …) -> Question | None        the evidence that the plan wants
    settle(model, stable, fleet, settled, nodes, busy, …) -> Settlement  nodes that no rollout is busy with
    superseded_by([(createdUnixMs, spec, status)]) -> {name: newer}      one active rollout per model

No I/O, clock or randomness: what is written where, and in which order, is said at `Plan` and `Settlement`.
"""

from skerry.core.rollout.case import Case, Event, Plan, Question
from skerry.core.rollout.elapsed import Elapsed
from skerry.core.rollout.permits import is_over
from skerry.core.rollout.planner import active, plan, question, superseded_by
from skerry.core.rollout.settling import Settled, Settlement, settle, settled_from_json, settled_to_json
from skerry.core.rollout.status import Permit, Status, result_of
from skerry.core.rollout.status_json import from_json, to_json

__all__ = [
    "Case",
    "Elapsed",
    "Event",
    "Permit",
    "Plan",
    "Question",
    "Settled",
    "Settlement",
    "Status",
    "active",
    "from_json",
    "is_over",
    "plan",
    "question",
    "result_of",
    "settle",
    "settled_from_json",
    "settled_to_json",
    "superseded_by",
    "to_json",
]
