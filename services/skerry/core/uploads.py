"""Which uploaded records count: the words for why one is refused, which versions a node can have answered with, and
which times its clock may have told. Pure: what is known of versions and of the clock is given.
"""

import enum

SKEW_MS = 300_000  # what a node's clock may be ahead or behind
EARLIEST_MS = 1_767_225_600_000  # 2026: no version is older, also where it is not known when one was published


class Fault(enum.StrEnum):
    """Why a record was refused for good; of the last two it was held back, or taken."""

    DAMAGED = "Damaged"
    MALFORMED = "Malformed"
    OTHER_NODE = "OtherNode"
    UNKNOWN_MODEL = "UnknownModel"
    UNKNOWN_VERSION = "UnknownVersion"
    VERSION_NOT_GIVEN = "VersionNotGiven"
    NO_EXAMPLE = "NoExample"
    OTHER_NODES_EXAMPLE = "OtherNodesExample"
    ERASED = "Erased"
    HELD_BACK = "HeldBack"
    CLOCK_OFF = "ClockOff"


TAKEN = frozenset({Fault.HELD_BACK, Fault.CLOCK_OFF})  # not refused: the node keeps it, or the cloud has it
TEXTS = {
    Fault.DAMAGED: "damaged on the way",
    Fault.MALFORMED: "cannot be read",
    Fault.OTHER_NODE: "of another node",
    Fault.UNKNOWN_MODEL: "of a model that does not exist",
    Fault.UNKNOWN_VERSION: "of a version that was never published for the model",
    Fault.VERSION_NOT_GIVEN: "of a version that the node was never given",
    Fault.NO_EXAMPLE: "truths without their example",
    Fault.OTHER_NODES_EXAMPLE: "truths about another node's example",
    Fault.ERASED: "of what was erased",
    Fault.HELD_BACK: "uploads beyond the node's rate, kept there and sent later",
    Fault.CLOCK_OFF: "taken, with a time that cannot be: they count in no verdict",
}


def version_fault(published: int | None, offered: int) -> Fault | None:
    """Can a node have answered with this version? `published`: its number, None when none was published with that
    digest; `offered`: the highest number that was ever the model's stable version, assigned to the node, or in a wave
    that it was in.

    Not a list of what each node had: a spool may be a month old and its EdgeNode made anew, and no object keeps such a
    list. Versions only rise, except by a rollback, and that keeps the rollout which names the node. So whatever is not
    newer may have been given, and what an older one says decides nothing: a verdict compares the version of a running
    rollout with the stable one. What is newer was never given: an answer with it is made up.
    """
    if published is None:
        return Fault.UNKNOWN_VERSION
    return Fault.VERSION_NOT_GIVEN if published > offered else None


def is_clock_off(answered_unix_ms: int, *, since_ms: int, now_ms: int) -> bool:
    """Can the answer not be of that time? `since_ms`: nothing of it was answered before, like the publication of its
    version; `now_ms`: when it came. The time itself stays as it is: it is part of the bytes that name the example."""
    return not since_ms - SKEW_MS <= answered_unix_ms <= now_ms + SKEW_MS
