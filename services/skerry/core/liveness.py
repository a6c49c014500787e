"""Is a node there? Decided from the age of what was last heard of it, never from a flag alone: a link is lost without a
goodbye, and the process that would have cleared the flag may be gone as well. A node that was never heard of is its own
state.
"""

import collections
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HEARTBEAT_S = (
    5  # longest time between two heartbeats of a connected node, unless its status says another (`markSeconds`)
)


class State(enum.StrEnum):
    ONLINE = "Online"
    STALE = "Stale"
    OFFLINE = "Offline"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Liveness:
    """`age_s`: seconds since the node was last heard of; None when it never was."""

    state: State
    age_s: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Ends:
    """Of one node, as it was last heard of: until when it is Online (Unix ms; 0: it is not), and from when it is
    Offline. Never heard of: `since_ms` is 0."""

    since_ms: int
    online_until_ms: int
    offline_from_ms: int

    def state(self, now_ms: int) -> State:
        """Online: connected and heard of within two heartbeats. Offline: not heard of for the fleet's time, and two
        heartbeats. Stale: between the two."""
        if not self.since_ms:
            return State.UNKNOWN
        if now_ms >= self.offline_from_ms:
            return State.OFFLINE
        return State.ONLINE if now_ms < self.online_until_ms else State.STALE


NEVER = Ends(0, 0, 0)


def ends(*, connected: bool, last_seen_ms: int, offline_after_s: int, heartbeat_s: int = HEARTBEAT_S) -> Ends:
    """`last_seen_ms` 0 means never. A last heartbeat in the future (clocks differ) counts as now."""
    fresh_s = 2 * heartbeat_s
    gone_s = max(offline_after_s, fresh_s)
    until_ms = last_seen_ms + 1000 * (fresh_s + 1) if connected else 0
    return Ends(last_seen_ms, until_ms, last_seen_ms + 1000 * (gone_s + 1))


def judge(
    *, connected: bool, last_seen_ms: int, now_ms: int, offline_after_s: int, heartbeat_s: int = HEARTBEAT_S
) -> Liveness:
    """The state (`Ends.state`) in words."""
    found = ends(
        connected=connected, last_seen_ms=last_seen_ms, offline_after_s=offline_after_s, heartbeat_s=heartbeat_s
    )
    state = found.state(now_ms)
    if state is State.UNKNOWN:
        return Liveness(state, None, "never heard of")
    age_s = max(0, now_ms - last_seen_ms) // 1000
    if state is State.OFFLINE:
        return Liveness(state, age_s, f"not heard of for more than {max(offline_after_s, 2 * heartbeat_s)} s")
    if state is State.ONLINE:
        return Liveness(state, age_s, "connected")
    return Liveness(state, age_s, "connected, but silent" if connected else "the connection ended")


def tally(states: Iterable[State]) -> Mapping[State, int]:
    """How many nodes are in each state; every state is named, and the counts add up to the number of nodes."""
    counted = collections.Counter(states)
    return {state: counted[state] for state in State}
