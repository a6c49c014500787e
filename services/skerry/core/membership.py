"""Which nodes count: in waves, in percentages, and where people read how many there are.

Where nodes have certificates, those whose key a person or a join token approved and nobody revoked: an object alone
makes no member, for a node that waits has one too. Where none has a key (one machine, a trusted network) every node
that ever reported. That certificates are in use is read from the nodes themselves, so that all who ask agree.
"""

import enum
from collections.abc import Iterable, Sequence

from skerry.core.specs.fleet import EdgeNode


class Standing(enum.StrEnum):
    MEMBER = "Member"
    REVOKED = "Revoked"
    NOT_APPROVED = "NotApproved"
    NEVER_REPORTED = "NeverReported"


REASONS = {
    Standing.MEMBER: "it counts",
    Standing.REVOKED: "revoked",
    Standing.NOT_APPROVED: "no key of it is approved",
    Standing.NEVER_REPORTED: "it never reported",
}


def uses_certificates(nodes: Iterable[EdgeNode]) -> bool:
    """Has any node a key that may speak for it?"""
    return any(node.approved_key for node in nodes)


def standing(node: EdgeNode, *, certificates: bool) -> Standing:
    """Does this node count, and if not, why? `certificates`: of its fleet (`uses_certificates`)."""
    if node.revoked:
        return Standing.REVOKED
    if certificates:
        return Standing.MEMBER if node.approved_key else Standing.NOT_APPROVED
    return Standing.MEMBER if node.last_seen_ms > 0 else Standing.NEVER_REPORTED


def members(nodes: Sequence[EdgeNode]) -> Sequence[EdgeNode]:
    """The nodes that count, in their order. `nodes` are all that there are."""
    certificates = uses_certificates(nodes)
    return [node for node in nodes if standing(node, certificates=certificates) is Standing.MEMBER]
