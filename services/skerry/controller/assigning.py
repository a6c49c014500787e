"""Writes what nodes are assigned: several at once, and in one tick only for a while.

What was not written then is planned again in the next tick, by what people asked for in the meantime: an abort waits
for a few seconds of writes, never for those to a whole fleet. What takes permission from nodes comes first, then what
gives it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from skerry.adapters.lease import epochs
from skerry.adapters.telemetry import logs
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors, rollout, specs

log = logs.logger("controller")

WRITERS = 16
TICK_S = 2.0  # of writing in one tick
_TRIES = 3
Assignments = Mapping[str, specs.Assignment | None]


class Assigning:
    """`writers`: writes at once. `clock_s`: a monotonic clock."""

    def __init__(self, store: Store, writers: int = WRITERS, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._store, self._writers, self._clock_s = store, writers, clock_s
        self._pool = ThreadPoolExecutor(writers, "assigning") if writers > 1 else None
        self._end_s = 0.0

    def begin(self) -> None:
        """A tick begins."""
        self._end_s = self._clock_s() + TICK_S

    def write(self, model: str, nodes: Iterable[specs.EdgeNode], wanted: Assignments, epoch: int) -> bool:
        """Each of `nodes` that is named in `wanted` and has another assignment gets it; False: not all, there was no
        time. Raises LeadershipLostError when a later leader has written there."""
        held = {node.name: node.assignment(model) for node in nodes if node.name in wanted}
        others = [name for name, mine in held.items() if mine != wanted[name]]
        others.sort(key=lambda name: (_turn(held[name], wanted[name]), name))
        for start in range(0, len(others), self._writers):
            if self._is_over():
                return False
            batch = others[start : start + self._writers]
            write = self._pool.map if self._pool and len(batch) > 1 else map
            for _ in write(lambda name: self._write(name, model, held[name], wanted[name], epoch), batch):
                pass
        return True

    def _is_over(self) -> bool:
        return self._clock_s() >= self._end_s

    def _write(
        self, node: str, model: str, held: specs.Assignment | None, wanted: specs.Assignment | None, epoch: int
    ) -> None:
        """One entry of EdgeNode.spec.assignments, the others left as they are. The gateway writes the same object's
        status often: a conflict with it is read again at once. What was planned for a node that holds something else
        by now, as when an earlier write arrived late, is not written: it is planned again."""
        for attempt in range(_TRIES):
            thing = self._store.look_again("EdgeNode", node)
            if thing is None:
                return
            if (later := max(epochs.named_by(thing), default=0)) > epoch:
                raise LeadershipLostError(f"EdgeNode {node} was written by a leader of epoch {later}, ours is {epoch}")
            found = specs.parse_node(node, thing.spec, thing.status)
            if found.assignment(model) != held:
                log.info("node_read_again", node=node)
                return
            entries = [specs.assignment_json(one) for one in _assigned(found, model, wanted)]
            try:
                self._store.put_spec(thing, {"assignments": entries})
                return
            except errors.ConflictError:
                if attempt == _TRIES - 1 or self._is_over():
                    log.info("node_read_again", node=node)
                    return


def _assigned(node: specs.EdgeNode, model: str, wanted: specs.Assignment | None) -> list[specs.Assignment]:
    """All that the node shall be assigned. Permits of other models that are over go with the same write, so that a node
    of many models keeps few; but the newest leader's stays, which a deposed one is known by."""
    given = [one for one in node.assignments if one.model != model] + ([] if wanted is None else [wanted])
    newest = max((one.lease.epoch for one in given if one.lease), default=0)
    over = [
        one for one in given if one is not wanted and one.lease and rollout.is_over(one.lease, node.report(one.model))
    ]
    if not any(one.lease and one.lease.epoch == newest for one in given if one not in over):
        over = [one for one in over if one.lease and one.lease.epoch < newest]
    kept = (replace(one, permit=None, lease=None) if one in over else one for one in given)
    return sorted(kept, key=lambda one: one.model)


def _is_over(given: specs.Assignment, node: specs.EdgeNode) -> bool:
    return given.lease is not None and rollout.is_over(given.lease, node.report(given.model))


def _turn(held: specs.Assignment | None, wanted: specs.Assignment | None) -> int:
    before, after = (one.permit if one else None for one in (held, wanted))
    if before is not None and before != after:
        return 0
    return 1 if after is not None else 2
