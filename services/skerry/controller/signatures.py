"""How the signatures of the model repository stand, for people: the condition TrustFresh of every model, and numbers to
be alarmed by. What the controller can renew it has renewed before; the rest somebody must be told of in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from skerry.adapters.trust.expiry import Signature
from skerry.core import conditions

CONDITION = "TrustFresh"


@dataclass(frozen=True, slots=True)
class TrustStatus:
    """What the condition says. It names days and no times left, so that it changes only when something turns."""

    status: str
    reason: str
    message: str


def judge(found: Sequence[Signature], now: datetime) -> TrustStatus:
    """False as soon as one signature is nearer to its end than it should ever come."""
    late = [signature for signature in found if signature.warning(now)]
    if not late:
        return TrustStatus(conditions.TRUE, "Fresh", "every signature of the model repository is good for long enough")
    ended = [signature for signature in late if signature.expires <= now]
    if ended:
        text = f"nodes refuse whatever is new: {_told(ended)}"
        return TrustStatus(conditions.FALSE, "SignatureEnded", text)
    return TrustStatus(conditions.FALSE, "SignatureExpiring", f"nodes will refuse whatever is new: {_told(late)}")


def _told(found: Sequence[Signature]) -> str:
    return ", ".join(
        f"{signature.role} ends on {signature.expires:%Y-%m-%d} (kept by {signature.custodian}: `skerry keys show`)"
        for signature in found
    )


def seconds_left(found: Sequence[Signature], now: datetime) -> dict[tuple[str, ...], float]:
    """By role, as `skerry_metadata_expires_seconds` says it."""
    return {(signature.role,): (signature.expires - now).total_seconds() for signature in found}
