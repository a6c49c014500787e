"""Which of several processes of one node name holds the name. A cloned disk carries name, key and state folder, so two
agents connect as one node; taking turns, they would be written down for ever and swap versions for each other.

The newcomer takes the name: a node that lost its power comes back as another process (`bootId`) while the old stream
still looks open, and must not wait. The one that was displaced is remembered, and is refused when it speaks again, for
then both are alive. It may come back when the holder is gone. So the name changes hands once, not with every report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_EARLIER = 8
CONFLICT = "NameConflict"  # condition of an EdgeNode
TWO_AGENTS, ONE_AGENT = "TwoAgents", "OneAgent"  # its reasons, True and False
REMEMBER_MS = 300_000  # a refusal is written down at most so often …
OVER_MS = 3 * REMEMBER_MS  # … and the conflict is over when there was none for so long


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that is connected as the node, and those whose place it took, newest first."""

    boot_id: str
    earlier: tuple[str, ...] = ()


def claim(boot_id: str, earlier: Sequence[str], holder: Holder | None) -> tuple[str, ...] | None:
    """The processes that `boot_id` has displaced when it takes or keeps the name; None: it may not have it now.

    `earlier` are those that it has displaced already. `holder` None: nobody is connected.
    """
    if holder is None or not holder.boot_id or holder.boot_id in earlier:
        return tuple(earlier)
    if holder.boot_id == boot_id:  # it came back, perhaps to a gateway that remembers less
        return _newest(*earlier, *holder.earlier)
    return None if boot_id in holder.earlier else _newest(holder.boot_id, *holder.earlier, *earlier)


def _newest(*boot_ids: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(boot_ids))[:MAX_EARLIER]


def refusal(node: str) -> str:
    """For the agent that is refused."""
    return (
        f"another agent holds the name {node} and is connected: this one connected earlier, both are alive, and a name "
        "is for one; if this machine is a copy of another, give it a name of its own (SKERRY_NODE) and an empty "
        "state folder (SKERRY_STATE)"
    )


def message(node: str, holder: str, holder_address: str, refused_address: str) -> str:
    """For the people who look at the node. Addresses are peers as the gateway sees them, or empty."""
    at = f" from {refused_address}" if refused_address else ""
    by = f" at {holder_address}" if holder_address else ""
    return (
        f"two agents run as {node}: one{at} is refused while process {holder[:12]}{by} holds the name. Often a disk "
        "was cloned: give the copy a name of its own and an empty state folder"
    )
