"""Lets nodes in: a join token and a key become a certificate, once per node; later ones wait for a person.

What is decided stands in objects (`JoinToken.status`, `EdgeNode`) before a certificate leaves, so that replicas agree
and a lost answer can be asked for again. Blocking: called on threads.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.pki import authority
from skerry.adapters.telemetry import logs
from skerry.core import errors, identity, join_tokens, names, offload, writers
from skerry.proto import fleet_pb2

_TRIES = 10
_PER_S, _BURST = 20.0, 100.0  # attempts that this process looks at; a flood of guesses costs little

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
    """`clock` is wall time in Unix ms."""

    def __init__(self, objects: Objects, policy: Policy, clock: Callable[[], int]) -> None:
        self._objects, self._policy, self._clock = objects, policy, clock
        self._lock, self._attempts = threading.Lock(), offload.TokenBucket.full(_PER_S, _BURST, time.monotonic())

    def enrol(self, request: fleet_pb2.EnrolRequest) -> fleet_pb2.Membership:
        """Raises InputError, ForbiddenError (this token never), WaitingError, OverloadedError, UnavailableError."""
        self._admit()
        names.check("EdgeNode", request.node)
        key = authority.digest_of_request(request.csr)
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
            assert token is not None
            self._record_waiting_key(request.node, node, token, key, decision.message)
            raise WaitingError(decision.message)
        if decision.consumes:
            assert token_object is not None and token is not None
            self._consume(token_object, token, join_tokens.Use(request.node, key), now_ms)
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

    def _consume(self, token_object: Object, token: join_tokens.JoinToken, use: join_tokens.Use, now_ms: int) -> None:
        """WrittenStatus against the version that was read: of two nodes that come at once, one decides again."""
        used = [*token_object.status.get("nodes", []), join_tokens.use_json(use, now_ms)]
        self._objects.patch(
            "JoinToken",
            token.id,
            manager=writers.GATEWAY,
            status={"nodes": used},
            resource_version=token_object.resource_version,
        )

    def _create(self, name: str, token: join_tokens.JoinToken, key: str) -> None:
        spec = {"labels": dict(token.labels), "cordoned": False, "assignments": [], "approvedKey": key}
        self._objects.create("EdgeNode", name, spec, manager=writers.GATEWAY)

    def _record_waiting_key(
        self, name: str, node: Object | None, token: join_tokens.JoinToken, key: str, reason: str
    ) -> None:
        """The key that asks stands in the node's status, where a person finds it and may approve it."""
        if node is None:
            self._create(name, token, "")
        elif node.status.get("waitingKey") == key:
            return
        _log.warning("node_waits", node=name, key=key, message=reason)
        self._objects.patch("EdgeNode", name, manager=writers.GATEWAY, status={"waitingKey": key})

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

    def _admit(self) -> None:
        with self._lock:
            attempts = self._attempts.take(1, time.monotonic())
            if attempts is None:
                raise errors.OverloadedError("too many nodes ask to enrol: ask again later")
            self._attempts = attempts
