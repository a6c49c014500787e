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


def judge(
    *, connected: bool, last_seen_ms: int, now_ms: int, offline_after_s: int, heartbeat_s: int = HEARTBEAT_S
) -> Liveness:
    """Online: connected and heard of within two heartbeats. Offline: not heard of for `offline_after_s`, and two
    heartbeats.
    Stale: between the two.

    `last_seen_ms` 0 means never. A last heartbeat in the future (clocks differ) counts as now.
    """
    if not last_seen_ms:
        return Liveness(State.UNKNOWN, None, "never heard of")
    age_s = max(0, now_ms - last_seen_ms) // 1000
    fresh_s = 2 * heartbeat_s
    gone_s = max(offline_after_s, fresh_s)
    if age_s > gone_s:
        return Liveness(State.OFFLINE, age_s, f"not heard of for more than {gone_s} s")
    if connected and age_s <= fresh_s:
        return Liveness(State.ONLINE, age_s, "connected")
    return Liveness(State.STALE, age_s, "connected, but silent" if connected else "the connection ended")


def tally(states: Iterable[State]) -> Mapping[State, int]:
    """How many nodes are in each state; every state is named, and the counts add up to the number of nodes."""
    counted = collections.Counter(states)
    return {state: counted[state] for state in State}
