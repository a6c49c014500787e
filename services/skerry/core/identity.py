"""The identity in a certificate: SPIFFE-shaped ids of nodes, whether one may speak for a node now, and what a
person shall look at when a handshake fails."""

import enum
import re
import sys
from dataclasses import dataclass

from skerry.core import errors

_PART = r"[a-z0-9]([a-z0-9.-]{0,118}[a-z0-9])?"
_FORM = re.compile(rf"spiffe://(?P<domain>{_PART})/tenant/(?P<tenant>{_PART})/node/(?P<node>{_PART})")


@dataclass(frozen=True, slots=True)
class NodeId:
    """`spiffe://<trust domain>/tenant/<tenant>/node/<node>`."""

    domain: str
    tenant: str
    node: str

    def __str__(self) -> str:
        return f"spiffe://{self.domain}/tenant/{self.tenant}/node/{self.node}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A verified certificate: whose it is, the digest of its public key, and until when it is good."""

    id: NodeId
    key: str
    not_after_ms: int


class Reason(enum.StrEnum):
    """Why a verified certificate is not enough."""

    OTHER_TENANT = "OtherTenant"
    UNKNOWN_NODE = "UnknownNode"
    REVOKED = "Revoked"
    OTHER_KEY = "OtherKey"


@dataclass(frozen=True, slots=True)
class Fault:
    reason: Reason
    message: str


def parse(uri: str) -> NodeId:
    """Raises InputError."""
    match = _FORM.fullmatch(uri)
    if match is None or len(uri) > 512:
        raise errors.InputError(f"{uri[:120]!r} is no id of a node (spiffe://<domain>/tenant/<tenant>/node/<node>)")
    return NodeId(sys.intern(match["domain"]), sys.intern(match["tenant"]), match["node"])  # a gateway knows thousands


def fault(peer: Peer, domain: str, tenant: str, approved_key: str | None, *, revoked: bool) -> Fault | None:
    """Why this peer may not speak for its node now; None: it may. `approved_key` None: there is no such node."""
    node = peer.id.node
    if (peer.id.domain, peer.id.tenant) != (domain, tenant):
        return Fault(Reason.OTHER_TENANT, f"{peer.id} belongs to another tenant than {domain}/{tenant}")
    if approved_key is None:
        return Fault(Reason.UNKNOWN_NODE, f"node {node} is not known here: enrol it")
    if revoked:
        return Fault(Reason.REVOKED, f"node {node} is revoked")
    if peer.key != approved_key:
        return Fault(Reason.OTHER_KEY, f"node {node} is known with another key")
    return None


def hint(failure: str) -> str:
    """What most likely stands behind a TLS library's words, to be added to them. Empty: nothing to add."""
    if "not yet valid" in failure or "has expired" in failure:
        return "; is the clock right here? If it is, the certificate must be renewed there"
    if "ostname" in failure or "address mismatch" in failure:
        return "; the certificate there has other names than the one by which this node is set to reach it"
    if "CERTIFICATE_VERIFY_FAILED" in failure:
        return "; the certificate there is of another authority than the one that this node enrolled with"
    return ""
