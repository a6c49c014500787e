"""Lets nodes in: a join token and a key become a certificate, once per node; another key waits for a person.

What is decided stands in objects (`JoinToken.status`, `EdgeNode`) before a certificate leaves, so that replicas agree
and a lost answer can be asked for again. Who asks too often is told to come later: each key by itself, and more widely
each address, for a whole site may be behind one. Of an address only those count that are not let in: neither a key that
is approved nor a good token is held up by others. Blocking: called on threads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from skerry.adapters import files
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.pki import authority
from skerry.adapters.telemetry import logs
from skerry.core import addresses, errors, identity, join_tokens, names, writers
from skerry.gateway.rates import Rate, Rates
from skerry.proto import fleet_pb2

_TRIES = 10
# A node asks once, and then about once a minute while it waits or is refused.
_PER_KEY = Rate(0.2, 10.0)
_PER_ADDRESS = Rate(20.0, 400.0)

_log = logs.logger("gateway")


class WaitingError(errors.RejectedError):
    """A person must approve the node first."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`lifetime` of certificates; `trust_root`: file of the metadata that nodes begin to trust with."""

    authority: authority.Authority
    domain: str
    tenant: str
    lifetime: timedelta
    trust_root: Path | None


class Enrolment:
    """`clock` is wall time in Unix ms. `approved` gives the key that may speak for a node, as it was seen last (empty:
    none may), at once."""

    def __init__(
        self,
        objects: Objects,
        policy: Policy,
        clock: Callable[[], int],
        approved: Callable[[str], str] = lambda node: "",
    ) -> None:
        self._objects, self._policy, self._clock, self._approved = objects, policy, clock, approved
        self._by_key, self._by_address = Rates(_PER_KEY), Rates(_PER_ADDRESS)

    def is_known(self, request: fleet_pb2.EnrolRequest) -> bool:
        """Is it asked for by the key that is approved for this node already? Raises InputError."""
        approved = self._approved(request.node)
        return bool(approved) and approved == authority.digest_of_request(request.csr)

    def enrol(self, request: fleet_pb2.EnrolRequest, address: str = "") -> fleet_pb2.Membership:
        """`address`: the peer's. Raises InputError, ForbiddenError (this token never), WaitingError, OverloadedError,
        UnavailableError."""
        names.check("EdgeNode", request.node)
        network = addresses.network(address)
        counts = not self.is_known(request)
        if counts and not self._by_address.take(network):
            raise errors.OverloadedError("too many nodes ask to enrol from this address: ask again later")
        key = authority.digest_of_request(request.csr)
        if not self._by_key.take((request.token_id[:64], key)):
            raise errors.OverloadedError(f"node {request.node} asks to enrol too often: ask again later")
        for _ in range(_TRIES):
            try:
                self._decide(request, key)
                break
            except errors.ConflictError:
                continue
        else:
            raise errors.UnavailableError("too many nodes enrol at once: ask again")
        membership = self._issue(request.node, request.csr)
        membership.trust_root = self._root()
        if counts:
            self._by_address.give_back(network)
        _log.info("node_enrolled", node=request.node, token=request.token_id, key=key)
        return membership

    def renew(self, peer: identity.Peer, request: fleet_pb2.RenewRequest) -> fleet_pb2.Membership:
        """The caller's certificate was checked; its key stays. Raises InputError, RejectedError, UnavailableError."""
        key = authority.digest_of_request(request.csr)
        if key != peer.key:
            raise errors.RejectedError(f"node {peer.id.node} renews with another key: enrol it again instead")
        membership = self._issue(peer.id.node, request.csr)
        _log.info("certificate_renewed", node=peer.id.node, not_after_unix_ms=membership.not_after_unix_ms)
        return membership

    def _decide(self, request: fleet_pb2.EnrolRequest, key: str) -> None:
        now_ms = self._clock()
        token_object, token = self._token(request.token_id)
        node = self._node(request.node)
        known = None
        if node is not None:
            known = join_tokens.EnrolledNode(
                str(node.spec.get("approvedKey", "")), bool(node.spec.get("revoked", False))
            )
        decision = join_tokens.decide(token, request.secret, known, request.node, key, now_ms=now_ms)
        if decision.outcome is join_tokens.Outcome.REFUSE:
            _log.warning("node_refused", node=request.node, token=request.token_id[:40], message=decision.message)
            raise errors.ForbiddenError(decision.message)
        if decision.outcome is join_tokens.Outcome.WAIT:
            assert token_object is not None and token is not None
            self._record_waiting_key(request.node, token, token_object, key, decision.message)
            raise WaitingError(decision.message)
        if decision.consumes:
            assert token_object is not None and token is not None
            use = join_tokens.Use(request.node, key)
            self._write_token(token_object, join_tokens.with_use(token_object.status, token, use, now_ms))
        if node is None:
            assert token is not None
            self._create(request.node, token, key)

    def _token(self, name: str) -> tuple[Object | None, join_tokens.JoinToken | None]:
        try:
            names.check("JoinToken", name)
            token_object = self._objects.get("JoinToken", name)
            return token_object, join_tokens.parse_object(token_object.name, token_object.spec, token_object.status)
        except errors.InputError:  # not found, or no name at all: told as a wrong secret is
            return None, None

    def _node(self, name: str) -> Object | None:
        try:
            return self._objects.get("EdgeNode", name)
        except errors.NotFoundError:
            return None

    def _write_token(self, token_object: Object, status: dict[str, Any]) -> None:
        """Against the version that was read: of two nodes that come at once, one decides again."""
        self._objects.patch(
            "JoinToken",
            token_object.name,
            manager=writers.GATEWAY,
            status=status,
            resource_version=token_object.resource_version,
        )

    def _create(self, name: str, token: join_tokens.JoinToken, key: str) -> None:
        spec = {"labels": dict(token.labels), "cordoned": False, "assignments": [], "approvedKey": key}
        joined_by = {join_tokens.JOINED_BY: token.id}
        self._objects.create("EdgeNode", name, spec, manager=writers.GATEWAY, labels=joined_by)

    def _record_waiting_key(
        self, node: str, token: join_tokens.JoinToken, token_object: Object, key: str, reason: str
    ) -> None:
        """The key that asks stands in the node's status, where a person finds it and may approve it."""
        now_ms = self._clock()
        waiting = join_tokens.waits(token, node, key, now_ms=now_ms)
        if waiting is None:
            raise errors.ForbiddenError(
                f"{join_tokens.MAX_WAITING} nodes wait for approval by join token {token.id} already: approve some, or "
                "make another token"
            )
        if waiting is not token.waiting:
            self._write_token(token_object, {"waiting": join_tokens.waiting_json(waiting)})
            _log.warning("node_waits", node=node, key=key, message=reason)
        elif self._objects.get("EdgeNode", node).status.get("waitingKey") == key:
            return
        status = {"waitingKey": key, "waitingUnixMs": now_ms}
        self._objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=status)

    def _issue(self, node: str, csr: bytes) -> fleet_pb2.Membership:
        policy, now = self._policy, datetime.fromtimestamp(self._clock() / 1000, UTC)
        uri = str(identity.NodeId(policy.domain, policy.tenant, node))
        certificate = policy.authority.issue(csr, uri, policy.lifetime, now=now)
        return fleet_pb2.Membership(
            certificate=certificate,
            ca=policy.authority.certificate(),
            renew_after_unix_ms=int((now + policy.lifetime / 2).timestamp() * 1000),
            not_after_unix_ms=int((now + policy.lifetime).timestamp() * 1000),
        )

    def _root(self) -> bytes:
        if self._policy.trust_root is None:
            return b""
        return files.read(self._policy.trust_root, max_bytes=64 << 10)
