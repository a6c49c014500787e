"""Permits that are about to be given, as a status holds them: together where they say the same, and many in few bytes.

    [{digest, rollout, attempt, epoch, grantedUnixMs, nodes: {name: [number, request, ttlMs]}}]

A release of before wrote each permit on its own, and kept those that nodes hold.
"""

import itertools
from collections.abc import Iterable
from typing import Any

from skerry.core.rollout.status import Permit, said_by
from skerry.core.specs.reader import MAX_INT, Reader


def permits_json(permits: Iterable[Permit]) -> list[dict[str, Any]]:
    groups = []
    for same, members in itertools.groupby(sorted(permits, key=_order), key=said_by):
        digest, rollout, attempt, epoch, granted_ms = same
        groups.append(
            {
                "digest": digest,
                "rollout": rollout,
                "attempt": attempt,
                "epoch": epoch,
                "grantedUnixMs": granted_ms,
                "nodes": {one.node: [one.number, one.request, one.ttl_ms] for one in members},
            }
        )
    return groups


def read_permits(reader: Reader, field: str) -> tuple[Permit, ...]:
    """Ordered by node."""
    read = (permit for group in reader.each(field, _group) for permit in group)
    return tuple(sorted(read, key=lambda permit: permit.node))


def _order(permit: Permit) -> tuple[tuple[str, str, int, int, int], str]:
    return said_by(permit), permit.node


def _group(reader: Reader) -> tuple[Permit, ...]:
    if reader.has("node"):
        return (_alone(reader),)
    digest, rollout, attempt = reader.digest("digest"), reader.text("rollout", ""), reader.integer("attempt", 0)
    epoch, granted_ms = reader.integer("epoch", 0), reader.integer("grantedUnixMs", None)
    given = []
    for node, numbers in reader.mapping("nodes", None).items():
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(_is_number(one) for one in numbers):
            raise reader.fault(f"nodes.{node}", "must be [number, request, ttlMs]")
        number, request, ttl_ms = numbers
        given.append(Permit(str(node), number, request, granted_ms, ttl_ms, epoch, digest, rollout, attempt))
    return tuple(given)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _alone(reader: Reader) -> Permit:
    return Permit(
        node=reader.text("node", None),
        number=reader.integer("number", None),
        request=reader.integer("request", None),
        granted_ms=reader.integer("grantedUnixMs", None),
        ttl_ms=reader.integer("ttlMs", None),
        epoch=reader.integer("epoch", 0),
        digest=reader.digest("digest"),
        rollout=reader.text("rollout", ""),
        attempt=reader.integer("attempt", 0),
    )
