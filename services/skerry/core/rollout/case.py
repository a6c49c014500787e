"""What a plan is made from, and what it is: the vocabulary that `plan`, `settle` and their caller share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skerry.core import specs
from skerry.core.rollout.status import Status
from skerry.core.truth_delay import AT_ONCE, TruthDelay


@dataclass(frozen=True, slots=True)
class Case:
    """One rollout and what it refers to.

    `versions`: the published versions of its model by name. `stable`: EdgeModel.status.stableVersion ("": none).
    `fleet`: None when the fleet it names does not exist. `newer`: the rollout that supersedes it (`superseded_by`).
    `delay`: how long the truth of the model's answers takes.
    """

    rollout: specs.ModelRollout
    versions: Mapping[str, specs.ModelVersion]
    stable: str
    fleet: specs.EdgeFleet | None
    newer: str = ""
    delay: TruthDelay = AT_ONCE


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person cares about: one CamelCase reason, one sentence, and the node it is about, if one."""

    reason: str
    message: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be, to be written in this order:

    1. `stable`, unless empty: EdgeModel.status.stableVersion becomes this version's name;
    2. `status`: ModelRollout.status, against the resourceVersion it was read at: on conflict nothing else is written;
    3. `assignments`: for every node named here, its assignment for this model (None: it has none). Nodes that are not
       named are not this rollout's business now: `settle` them.

    `stale`: the epoch is older than one that has planned already; nothing may be written.
    """

    status: Status
    assignments: Mapping[str, specs.Assignment | None] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    stable: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """The evidence that a plan wants: answers counted since `since_ms` by the digest that gave them, per node. No node
    may be left that gives a baseline. Requests are compared with those of `before_nodes` since `before_since_ms`, which
    the stable version answered there: the canary's own nodes, before they swapped, among them."""

    canary_digest: str
    canary_nodes: tuple[str, ...]
    baseline_digest: str
    baseline_nodes: tuple[str, ...]
    since_ms: int
    baseline_since_ms: int
    before_nodes: tuple[str, ...] = ()
    before_since_ms: int = 0
