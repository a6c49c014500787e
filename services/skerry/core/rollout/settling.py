"""Nodes that no rollout is busy with get the stable version, late and new ones too, under the same permits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.core import specs
from skerry.core.rollout import permits
from skerry.core.rollout.case import Event
from skerry.core.rollout.elapsed import Elapsed
from skerry.core.rollout.permit_json import permits_json, read_permits
from skerry.core.rollout.permits import Moment
from skerry.core.rollout.status import Permit
from skerry.core.specs.reader import Reader, read


@dataclass(frozen=True, slots=True)
class Settled:
    """EdgeModel.status.catchUp: what settling remembers."""

    permits: tuple[Permit, ...] = ()
    permit_number: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """To be written in this order: `settled` (EdgeModel.status.catchUp, against its resourceVersion), `assignments`.
    `waits`: a permit is remembered that its node was not seen with."""

    settled: Settled
    assignments: Mapping[str, specs.Assignment | None] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    stale: bool = False
    waits: bool = False


def settle(
    model: str,
    stable: specs.ModelVersion | None,
    fleet: specs.EdgeFleet,
    settled: Settled,
    nodes: Sequence[specs.EdgeNode],
    busy: frozenset[str],
    *,
    now_ms: int,
    epoch: int,
    elapsed: Elapsed,
) -> Settlement:
    """What the nodes of `fleet` shall be assigned that are not `busy` (named in the plan of an active rollout).

    `nodes` are all nodes: busy ones count against the budget. `stable` None: nothing is assigned. A cordoned node keeps
    what it is assigned.
    """
    if epoch < settled.epoch:
        return Settlement(settled, stale=True)
    scope = sorted((node for node in nodes if fleet.selects(node)), key=lambda node: node.name)
    free = [node for node in scope if node.name not in busy and not node.cordoned]
    granted = permits.grant(
        model,
        {node.name: permits.desired_stable(model, node, stable, permitted=True) for node in free},
        scope,
        settled.permits,
        settled.permit_number,
        budget=max(1, fleet.max_unavailable.floor_of(len(scope))),
        moment=Moment(now_ms, epoch, 1000 * fleet.offline_after_s, elapsed),
    )
    after = Settled(granted.permits, granted.permit_number, epoch)
    if not granted.events and epoch == settled.epoch:
        after = settled  # a permit that its node was seen with is forgotten with the next one that is given
    return Settlement(after, granted.assignments, granted.events, waits=bool(granted.permits))


def settled_to_json(settled: Settled) -> dict[str, Any]:
    return {
        "permits": permits_json(settled.permits),
        "permitNumber": settled.permit_number,
        "epoch": settled.epoch,
    }


def settled_from_json(model: str, value: Any) -> Settled:
    """EdgeModel.status.catchUp as `settled_to_json` wrote it; None or {}: nothing yet. Raises InputError."""
    return read("EdgeModel", model, "status.catchUp", value or {}, _settled)


def _settled(reader: Reader) -> Settled:
    return Settled(read_permits(reader, "permits"), reader.integer("permitNumber", 0), reader.integer("epoch", 0))
