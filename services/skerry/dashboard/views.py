"""What a page or a command shows, as values: read from objects and readings by `queries`, drawn by `pages` and the CLI.

`None` always means not known, never zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.core import membership, name_claim
from skerry.core.conditions import Condition
from skerry.core.liveness import Liveness, State
from skerry.core.membership import Standing
from skerry.core.rollout.status import Failure, Tally


@dataclass(frozen=True, slots=True)
class Reading:
    """What one node measured lately for one model. `confidence` counts answers in 20 equal bins over [0, 1]. Of the
    newest `truths` about forecasts: their mean `absolute_error` in the target's unit, and the share in the interval."""

    requests: int
    offload_rate: float | None
    degraded: int
    failed: int
    confidence: Sequence[int]
    p50_ms: float | None
    p99_ms: float | None
    truths: int = 0
    absolute_error: float | None = None
    coverage: float | None = None

    @property
    def mean_confidence(self) -> float | None:
        """From the middles of the bins; None without answers."""
        total = sum(self.confidence)
        bins = len(self.confidence)
        middles = sum(count * (index + 0.5) / bins for index, count in enumerate(self.confidence))
        return middles / total if total else None


@dataclass(frozen=True, slots=True)
class Serving:
    """One model on one node: what it reports as loaded, and what it is brought up to, if anything. `accuracy`: how its
    forecasts did, of those whose truth has come, in words; empty where none has."""

    model: str
    version: int
    digest: str
    target_state: str
    target_digest: str
    reason: str
    reading: Reading | None
    accuracy: str = ""


@dataclass(frozen=True, slots=True)
class Spool:
    """Counters of a node's spool."""

    pending: int
    pending_bytes: int
    captured: int
    dropped: int
    uploaded: int
    too_large: int = 0


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the gateway did not take of a node's uploads since its object was made: (words, how many), the most first,
    and the last one's message. `note`: in few words what is wrong, empty when nothing was within the last day."""

    counts: Sequence[tuple[str, int]]
    message: str
    at_ms: int
    note: str


@dataclass(frozen=True, slots=True)
class Warning:
    """What a node warns of: a series whose forecasts are off."""

    model: str
    series: str
    since_ms: int
    message: str

    @property
    def subject(self) -> str:
        return f"{self.model}, {self.series}" if self.series else self.model


@dataclass(frozen=True, slots=True)
class Node:
    """`fault` tells why the node's object cannot be read; its state is Unknown then. `waiting_key`: the key that waits
    for approval, `approved_key`: the one that may speak for it, empty when there is none. `certificate_ms`: when its
    certificate ends, 0 without one."""

    name: str
    liveness: Liveness
    last_seen_ms: int
    cordoned: bool
    address: str
    serving: Sequence[Serving]
    spool: Spool | None
    fault: str = ""
    standing: Standing = Standing.MEMBER
    waiting_key: str = ""
    approved_key: str = ""
    certificate_ms: int = 0
    agent_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    refusals: Refusals | None = None
    warnings: Sequence[Warning] = ()

    @property
    def counts(self) -> bool:
        """Is it one of the fleet's nodes? One that cannot be read is not forgotten."""
        return self.standing is Standing.MEMBER

    @property
    def notes(self) -> Sequence[str]:
        """In few words, what a person should know or do about it."""
        notes = ["cordoned"] if self.cordoned else []
        if self.standing in (Standing.REVOKED, Standing.NOT_APPROVED):
            notes.append(membership.REASONS[self.standing])
        if self.waiting_key:
            notes.append("waits for approval")
        if self.name_conflict:
            notes.append("two agents have this name")
        if self.refusals is not None and self.refusals.note:
            notes.append(self.refusals.note)
        notes += [f"warns of {model}" for model in sorted({one.model for one in self.warnings})]
        return notes

    @property
    def name_conflict(self) -> Condition | None:
        """That two agents run under its name; None while only one does."""
        found = next((one for one in self.conditions if one.type == name_claim.CONFLICT), None)
        return found if found is not None and found.true else None


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gates:
    """The verdict that a version was proposed with."""

    outcome: str
    each: Sequence[Gate]


@dataclass(frozen=True, slots=True)
class Version:
    """A ModelVersion. `nodes`: how many report it as loaded. `quality`: how good it was on its imported holdout, in the
    words of its model's task; empty when that is not known."""

    name: str
    model: str
    version: int
    digest: str
    source: str
    run: str
    size_bytes: int
    created_ms: int
    available: Condition | None
    stable: bool
    nodes: int
    gates: Gates | None
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """An EdgeModel, its newest version first. `answers`: what an answer is, in words. `labels`: the curator's counts,
    None when they are not known; `labels_note`: what a person should know of them, empty when all is well."""

    name: str
    stable: str
    dataset: str
    retrains: bool
    versions: Sequence[Version]
    labels: Mapping[str, Any] | None
    labels_note: str = ""
    fault: str = ""
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Wave:
    """`step` is one of done, current, waiting, failed; `tally` says where its nodes stand."""

    name: str
    size: str
    step: str
    tally: Tally
    started_ms: int
    soaking: bool
    verdict: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A ModelRollout. `failed` holds nodes that refused the version or cannot run it, with their reasons; `more_failed`
    and `more_deferred` count those that are not named. `bad`: what counts as a bad answer of its model."""

    name: str
    model: str
    version: str
    phase: str
    created_ms: int
    ended: bool
    succeeded: bool
    message: str
    pause_reasons: Sequence[str]
    waves: Sequence[Wave]
    deferred: Sequence[str]
    failed: Sequence[Failure]
    min_samples: int
    fault: str = ""
    bad: str = ""
    more_deferred: int = 0
    more_failed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A TrainingRun. `state` is one of Waiting, Running, Succeeded, Failed."""

    name: str
    model: str
    reason: str
    dataset: str
    state: str
    message: str
    created_ms: int
    started_ms: int
    finished_ms: int
    version: str
    gates: Gates | None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened, told for people. `good` is None when it is neither."""

    at_ms: int
    subject: str
    text: str
    good: bool | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything at one moment. `counts` are of the members (`core.membership`), `trouble` tells what could not be
    read. Of `all_nodes` nodes `chosen` are of the state that was asked for, and `nodes` are one page of those."""

    now_ms: int
    resource_version: int
    nodes: Sequence[Node]
    chosen: int
    page: int
    pages: int
    all_nodes: int
    counts: Mapping[State, int]
    models: Sequence[Model]
    rollouts: Sequence[Rollout]
    runs: Sequence[Run]
    changes: Sequence[Change]
    trouble: Sequence[str]

    @property
    def others(self) -> int:
        """Nodes that do not count."""
        return self.all_nodes - sum(self.counts.values())
