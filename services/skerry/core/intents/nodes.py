"""What people may ask of an edge node: who may speak for it, whether new versions come to it, which fleets it is in."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from skerry.core import errors, join_tokens
from skerry.core.intents.objects import Deletion, Known, Patch

_KIND = "EdgeNode"
MIN_KEY_DIGITS = 8
_ALIVE_MS = 60_000


def approve(known: Known, key: str, *, now_ms: int) -> Patch:
    """Let the key that waits speak for the node; the one before is no longer valid. `key` names it, as the node shows
    it (its beginning of MIN_KEY_DIGITS and more is enough): another one may ask between a look and an approval."""
    approved = str(known.spec.get("approvedKey") or "")
    waiting = join_tokens.waiting_key(approved, known.status, now_ms=now_ms)
    if approved and known.status.get("waitingKey") == approved:
        raise errors.RejectedError(f"the key of node {known.name} is approved already")
    if not waiting:
        raise errors.RejectedError(f"no key of node {known.name} waits for approval")
    named = key.removeprefix("sha256:")
    if len(named) < MIN_KEY_DIGITS:
        raise errors.InputError(
            f"name the key: {waiting} waits for node {known.name}. If the node itself shows the same one: "
            f"skerry nodes approve {known.name} --key {waiting.removeprefix('sha256:')[:16]}"
        )
    if not waiting.removeprefix("sha256:").startswith(named):
        raise errors.RejectedError(f"another key of node {known.name} waits: {waiting}")
    return _patch(known, {"approvedKey": waiting, "revoked": False})


def delete_node(known: Known, tokens: Iterable[Known], *, now_ms: int) -> Deletion:
    """Raises RejectedError for a node that may connect now: its object would be missed at once; and for a revoked one
    that would be let in again by itself, by one of the JoinTokens `tokens`: it stays out only while its object says
    so."""
    if known.spec.get("approvedKey") and not known.spec.get("revoked"):
        raise errors.RejectedError(
            f"node {known.name} is a member of the fleet: `skerry nodes revoke {known.name}` first. Revoked, it stays "
            "out; deleted, it may come back with a join token"
        )
    if known.status.get("connected") and now_ms - int(known.status.get("lastSeenUnixMs") or 0) < _ALIVE_MS:
        raise errors.RejectedError(f"node {known.name} is connected, and its next report would make it again: stop it")
    if known.spec.get("revoked") and (open_to_it := _used_by(known, tokens, now_ms)):
        raise errors.RejectedError(
            f"node {known.name} is revoked, and would come back by itself with join token {', '.join(open_to_it)}, "
            f"which it used: `skerry nodes token delete {open_to_it[0]}` first. Revoked, it stays out"
        )
    return Deletion(_KIND, known.name)


def revoke(known: Known) -> Patch:
    """Refuse it at every port of the gateway, whatever certificate it has. Asking twice is no error."""
    return _patch(known, {"revoked": True})


def readmit(known: Known) -> Patch:
    """Undo a revocation: the approved key is valid again."""
    return _patch(known, {"revoked": False})


def cordon(known: Known, *, on: bool) -> Patch:
    """No new version comes to it, or new ones come again. Asking twice is no error."""
    return _patch(known, {"cordoned": on})


def trust(known: Known, *, on: bool) -> Patch:
    """What it teaches is not bounded any more, or bounded again as that of every node."""
    return _patch(known, {"trusted": on})


def label(known: Known, labels: Mapping[str, str | None]) -> Patch:
    """Set labels; None removes one. Fleets select nodes by them."""
    before = known.spec.get("labels") or {}
    return Patch(_KIND, known.name, {"labels": dict(labels)}, {f"label {key}": before.get(key) for key in labels})


def _patch(known: Known, spec: dict[str, Any]) -> Patch:
    """Decided on what the fields that it writes hold now."""
    return Patch(_KIND, known.name, spec, {field: known.spec.get(field) for field in spec})


def _used_by(node: Known, tokens: Iterable[Known], now_ms: int) -> list[str]:
    """The tokens that let this node in, and would again once it is not known any more."""
    names = []
    for stored in tokens:
        with contextlib.suppress(errors.InputError):  # one that cannot be read lets nobody in
            token = join_tokens.parse_object(stored.name, stored.spec, stored.status)
            used_it = node.labels.get(join_tokens.JOINED_BY) == token.id
            used_it |= any(use.node == node.name for use in token.used)
            if now_ms < token.expires_ms and used_it:
                names.append(token.id)
    return names
