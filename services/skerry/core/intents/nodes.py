"""What people may ask of an edge node: who may speak for it, whether new versions come to it, which fleets it is in."""

from collections.abc import Mapping

from skerry.core import errors
from skerry.core.intents.objects import Known, Patch

_KIND = "EdgeNode"


def approve(known: Known, key: str = "") -> Patch:
    """Let the key that waits speak for the node; the one before is no longer valid. `key`: only this one, its beginning
    is enough."""
    waiting = str(known.status.get("waitingKey") or "")
    if not waiting:
        raise errors.RejectedError(f"no key of node {known.name} waits for approval")
    if known.spec.get("approvedKey") == waiting:
        raise errors.RejectedError(f"the key of node {known.name} is approved already")
    if not waiting.removeprefix("sha256:").startswith(key.removeprefix("sha256:")):
        raise errors.RejectedError(f"another key of node {known.name} waits: {waiting}")
    return Patch(_KIND, known.name, {"approvedKey": waiting, "revoked": False})


def revoke(known: Known) -> Patch:
    """Refuse it at every port of the gateway, whatever certificate it has. Asking twice is no error."""
    return Patch(_KIND, known.name, {"revoked": True})


def readmit(known: Known) -> Patch:
    """Undo a revocation: the approved key is valid again."""
    return Patch(_KIND, known.name, {"revoked": False})


def cordon(known: Known, *, on: bool) -> Patch:
    """No new version comes to it, or new ones come again."""
    return Patch(_KIND, known.name, {"cordoned": on})


def label(known: Known, labels: Mapping[str, str | None]) -> Patch:
    """Set labels; None removes one. Fleets select nodes by them."""
    return Patch(_KIND, known.name, {"labels": dict(labels)})
