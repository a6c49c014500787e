"""May this caller speak for that node? Asked for every call and request, and again when a node's object changes.

The transport has verified the certificate against the fleet's CA; what counts beside it is the node's object: a
revoked node, or one known with another key, is refused at once, however long its certificate is good. Without TLS (one
machine, loopback) every caller is believed to be the node it names; a revoked one is refused there, too.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from skerry.adapters import pki
from skerry.core import errors, identity
from skerry.gateway import desired
from skerry.rpc.methods import Call, CallError, Status

_REMEMBERED = 1_000  # parsed certificates, of nodes that upload or fetch now; a stream keeps its own


@dataclass(frozen=True, slots=True)
class Guard:
    """`domain` and `tenant`: whose nodes these are. `enforced` False: everybody is believed."""

    view: desired.View
    domain: str = "skerry.local"
    tenant: str = "default"
    enforced: bool = False

    def check(self, call: Call, node: str) -> identity.Peer | None:
        """Who calls, or None where everybody is believed. Raises CallError (UNAUTHENTICATED, PERMISSION_DENIED) unless
        the caller may speak for `node`."""
        if not self.enforced:
            self._check_claim(node)
            return None
        peer = self.peer(call)
        if peer.id.node != node:
            raise CallError(Status.PERMISSION_DENIED, f"node {peer.id.node} may not speak for {node[:120]!r}")
        return peer

    def check_again(self, peer: identity.Peer | None, node: str) -> None:
        """Whom `check` let in for `node`. Raises CallError (PERMISSION_DENIED) when the node's object says otherwise by
        now."""
        if peer is None:
            self._check_claim(node)
        elif fault := self._fault(peer):
            raise CallError(Status.PERMISSION_DENIED, fault.message)

    def _check_claim(self, node: str) -> None:
        """Who comes without a certificate is believed, but nobody speaks for a node that is revoked."""
        known = self.view.approval(node)
        if known is not None and known[1]:
            raise CallError(Status.PERMISSION_DENIED, f"node {node} is revoked")

    def peer(self, call: Call) -> identity.Peer:
        """Whose call it is. Raises CallError."""
        try:
            return self.admit(call.peer_certificate)
        except errors.InputError as exc:
            raise CallError(Status.UNAUTHENTICATED, str(exc)) from exc
        except errors.RejectedError as exc:
            raise CallError(Status.PERMISSION_DENIED, str(exc)) from exc

    def admit(self, certificate: bytes | None) -> identity.Peer:
        """The holder of a verified certificate. Raises InputError (it is no node's) or RejectedError (not now)."""
        if certificate is None:
            raise errors.InputError("a client certificate is needed: enrol this node")
        peer = _parsed(certificate)
        if fault := self._fault(peer):
            raise errors.RejectedError(fault.message)
        return peer

    def _fault(self, peer: identity.Peer) -> identity.Fault | None:
        known = self.view.approval(peer.id.node)
        approved, revoked = known if known is not None else (None, False)
        return identity.fault(peer, self.domain, self.tenant, approved, revoked=revoked)


def certificate_status(peer: identity.Peer | None) -> Mapping[str, Any]:
    """What of a caller's certificate belongs into its EdgeNode.status."""
    return {} if peer is None else {"certNotAfterUnixMs": peer.not_after_ms}


class Guarded:
    """An ASGI application behind the guard: 401 or 403 with the reason for callers that are not let in."""

    def __init__(self, application: Any, guard: Guard) -> None:
        self._application, self._guard = application, guard

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "http":
            try:
                self._guard.admit(scope.get("state", {}).get("peer_certificate"))
            except errors.InputError as exc:
                await _refuse(send, 401, str(exc))
                return
            except errors.RejectedError as exc:
                await _refuse(send, 403, str(exc))
                return
        await self._application(scope, receive, send)


async def _refuse(send: Callable[..., Any], status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})


@functools.lru_cache(maxsize=_REMEMBERED)
def _parsed(certificate: bytes) -> identity.Peer:
    return pki.peer_of(certificate)
