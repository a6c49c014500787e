"""ModelRollout.status as a frozen value: all that a plan must remember. Its JSON is `status_json`'s.

`…_clock_ms` are moments of the rollout's own clock (`elapsed`), and they decide; the other `…_ms` are Unix milliseconds
given by the caller, for people. 0: not yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core.conditions import Conditions
from skerry.core.specs.strategy import WaveSpec

PENDING, PROGRESSING, ROLLING_BACK = "Pending", "Progressing", "RollingBack"
SUCCEEDED, ROLLED_BACK, ROLLBACK_INCOMPLETE = "Succeeded", "RolledBack", "RollbackIncomplete"
SUPERSEDED, INVALID = "Superseded", "Invalid"
OVERRIDDEN = "Overridden"  # told of a verdict, never stored
STATES = (PENDING, PROGRESSING, ROLLING_BACK, SUCCEEDED, ROLLED_BACK, ROLLBACK_INCOMPLETE, SUPERSEDED, INVALID)
TERMINAL = frozenset({SUCCEEDED, ROLLED_BACK, ROLLBACK_INCOMPLETE, SUPERSEDED, INVALID})

MAX_NAMED = 20  # nodes of a kind (failed, incompatible, deferred) that are kept by name; all are counted
MESSAGE_CHARS = 400  # of a sentence for people, which may name nodes
MAX_REASONS = 8  # reasons of failures that are counted each on its own
OPERATOR = "Operator"  # the pause reason of spec.paused; all others are automatic
PROMOTED = "Promoted"  # the code of a verdict that is an operator's word and no evidence


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit that is about to be written into its node's assignment, where it lives from then on: it counts from
    `granted_ms` until it is resolved or its lease has ended (`permits`)."""

    node: str
    number: int
    request: int
    granted_ms: int
    ttl_ms: int
    epoch: int
    digest: str
    rollout: str
    attempt: int


def said_by(permit: Permit) -> tuple[str, str, int, int, int]:
    """What permits say that a status keeps together."""
    return permit.digest, permit.rollout, permit.attempt, permit.epoch, permit.granted_ms


@dataclass(frozen=True, slots=True)
class Failure:
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Where the members of a wave stand; each is counted once, deleted ones nowhere."""

    updated: int = 0
    failed: int = 0
    incompatible: int = 0
    deferred: int = 0
    pending: int = 0

    @property
    def members(self) -> int:
        return self.updated + self.failed + self.incompatible + self.deferred + self.pending

    @property
    def reachable(self) -> int:
        """Members that answer and could run the version."""
        return self.updated + self.failed + self.pending


@dataclass(frozen=True, slots=True)
class Wave:
    """Membership and `asks`, what the strategy asks for, are frozen when the attempt starts. Members are `nodes` or,
    with `upto`, those of no earlier wave whose place is below it (`waves.place`); `size`: how many there were. `peak`:
    the most members ever resolved, the measure of progress; `most_failed`: the most that ever had failed at once."""

    name: str
    nodes: tuple[str, ...] = ()
    tally: Tally = Tally()
    peak: int = 0
    most_failed: int = 0
    started_ms: int = 0
    soak_started_ms: int = 0
    soak_clock_ms: int = 0
    judge_since_ms: int = 0
    judge_clock_ms: int = 0
    verdict: dict[str, Any] = field(default_factory=dict)
    verdict_ms: int = 0
    asks: WaveSpec | None = None
    size: int = 0
    upto: int = 0

    @property
    def passed(self) -> bool:
        return self.verdict.get("result") == "Pass" and bool(self.verdict.get("final"))


def result_of(verdict: Mapping[str, Any]) -> str:
    """What people are told of a wave's verdict: its result, or that somebody overrode it; empty without one."""
    return OVERRIDDEN if verdict.get("code") == PROMOTED else str(verdict.get("result") or "")


@dataclass(frozen=True, slots=True)
class Status:
    """`why` says in one word why the state was left for ROLLING_BACK; `evidence_since_ms` begins the comparison.
    `clock_ms`: the rollout's clock when this was written. `judges`: how many nodes must speak before their answers pass
    or fail a wave; frozen with the waves. Of `failed`, `incompatible` and `deferred` at most MAX_NAMED are kept; who
    else is among them is seen from what the nodes report. `created_until_ms`, `selector`: of waves by place, when the
    youngest member was created and whom the fleet selected when the attempt began (0, None: anybody). `permits`: those
    that no node has been seen with yet. `reasons`: how many nodes failed for which reason, for people."""

    attempt: int = 0
    spec_hash: str = ""
    state: str = PENDING
    wave: int = 0
    waves: tuple[Wave, ...] = ()
    judges: int = 0
    created_until_ms: int = 0
    selector: Mapping[str, str] | None = None
    reasons: tuple[tuple[str, int], ...] = ()
    deferred: tuple[str, ...] = ()
    permits: tuple[Permit, ...] = ()
    permit_number: int = 0
    failed: tuple[Failure, ...] = ()
    incompatible: tuple[Failure, ...] = ()
    pause_reasons: tuple[str, ...] = ()
    pause_message: str = ""
    pause_number: int = 0
    stable_version: str = ""
    why: str = ""
    why_message: str = ""
    progress_ms: int = 0
    progress_clock_ms: int = 0
    clock_ms: int = 0
    evidence_since_ms: int = 0
    evidence_clock_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    epoch: int = 0
    conditions: Conditions = ()

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def current(self) -> Wave:
        return self.waves[self.wave]

    @property
    def phase(self) -> str:
        """For people: the state, or that it stands still."""
        return "Paused" if self.pause_reasons and self.state in (PENDING, PROGRESSING) else self.state
