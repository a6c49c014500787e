"""Who signs each role of the model repository, until when that is good, and how long before its end people are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from skerry.adapters.trust import keys, store
from skerry.core import errors

# Who keeps a role's key, and how long before the end people are told. Renewal comes before that, by the controller for
# its own keys and by `skerry keys renew` (every day in a cluster) for the others; when it has not, something is wrong.
ROLES: dict[str, tuple[str, timedelta]] = {
    Root.type: (keys.ROOT, timedelta(days=60)),
    Targets.type: (keys.PUBLISHER, timedelta(days=28)),
    store.IMPORTED: (keys.PUBLISHER, timedelta(days=28)),
    store.RETRAINED: (keys.ONLINE, timedelta(days=20)),
    Snapshot.type: (keys.ONLINE, timedelta(days=5)),
    Timestamp.type: (keys.ONLINE, timedelta(hours=36)),
}
_HOW = {
    keys.ROOT: "`skerry keys renew` with the root key",
    keys.PUBLISHER: "`skerry keys renew` with the publisher's key",
    keys.ONLINE: "the controller should have renewed it: see its log",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The newest of a role; of snapshot and timestamp what is published."""

    role: str
    custodian: str
    version: int
    keyids: tuple[str, ...]
    expires: datetime

    def warning(self, now: datetime) -> str:
        """What to do, when its end is near; else empty."""
        left = self.expires - now
        if left >= ROLES[self.role][1]:
            return ""
        when = "has ended" if left < timedelta(0) else f"ends in {left.days} days"
        return f"{when}: {_HOW[self.custodian]}"


def look(metadata: store.Store) -> Sequence[Signature]:
    """One of each role. Raises NotFoundError (no repository yet), IntegrityError (metadata not signed by its keys)."""
    with metadata.remembering():
        newest = metadata.newest(Root.type)
        if not newest:
            raise errors.NotFoundError("there is no model repository yet: the controller founds it when it starts")
        timestamp = metadata.verified(Timestamp, Timestamp.type, 0)[0].signed
        numbers = {Root.type: newest, Timestamp.type: 0, Snapshot.type: timestamp.snapshot_meta.version}
        kinds: dict[str, type[Any]] = {Root.type: Root, Snapshot.type: Snapshot, Timestamp.type: Timestamp}
        signatures = []
        for role, (custodian, _) in ROLES.items():
            number = numbers[role] if role in numbers else metadata.newest(role)
            signed = metadata.verified(kinds.get(role, Targets), role, number)[0].signed
            keyids = tuple(metadata.delegator(role).get_delegated_role(role).keyids)
            signatures.append(Signature(role, custodian, signed.version, keyids, signed.expires))
        return signatures
