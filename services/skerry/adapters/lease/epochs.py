"""The epochs that objects name: a lease whose own memory was lost must begin above all of them, or the new leader's
writes would look like those of a leader of the past."""

from collections.abc import Iterator, Mapping
from typing import Any

from skerry.adapters.objects.protocol import Object, Objects

KINDS = ("ModelRollout", "EdgeModel", "EdgeNode")


def highest(store: Objects) -> int:
    """0 when no object names one."""
    return max((epoch for kind in KINDS for thing in store.list(kind) for epoch in named_by(thing)), default=0)


def named_by(thing: Object) -> Iterator[int]:
    """Of a rollout, of what settling a model remembers, of a node's permits."""
    holders: list[Any] = [thing.status, thing.status.get("catchUp")]
    for assignment in thing.spec.get("assignments", ()) if thing.kind == "EdgeNode" else ():
        holders += [assignment.get("permit"), assignment.get("lease")]
    for holder in holders:
        if isinstance(holder, Mapping) and isinstance(epoch := holder.get("epoch"), int):
            yield epoch
