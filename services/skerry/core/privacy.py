"""What a node may keep of the rows that it answers, and how far they may go: one policy per model for capture, offload
and upload alike.

`keep` is about the node's disk, `leave` about who else may see what is taken from a row, `redact` about what is taken
out of a row before either. A node's own floor bounds what the cloud asks for: it may be tightened and never loosened.
Pure; that it is obeyed is the agent's work, and what steps of redaction do is `core.redaction`'s.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from skerry.core import offload, redaction, sampling

CONDITION = "OffloadPermitted"  # of an EdgeModel that names a privacy
PERMITS, FORBIDS = "PrivacyPermits", "PrivacyForbids"
ALL = "privacy permits what the offload policy asks"


class Keep(enum.StrEnum):
    """From the strictest."""

    NOTHING = "Nothing"  # no row, no answer: no truth can be told later
    FEATURES = "Features"  # what the network made of a row: its outputs and confidence; never the row
    FULL = "Full"  # the row as its caller sent it, but for what is redacted


class Leave(enum.StrEnum):
    """From the strictest."""

    NEVER = "Never"  # nothing that comes from a row, nor its truth
    TEACHER = "Teacher"  # a hard row, to be answered there and forgotten
    CLOUD = "Cloud"  # and what is kept is uploaded, to be learned from


KEEP, LEAVE = tuple(Keep), tuple(Leave)  # from the strictest


@dataclass(frozen=True, slots=True)
class Privacy:
    """`EdgeModel.spec.privacy`, or one entry of a node's floor."""

    keep: Keep = Keep.FULL
    leave: Leave = Leave.CLOUD
    redact: redaction.Steps = ()

    @property
    def may_ask(self) -> bool:
        """May a hard row be offloaded?"""
        return self.leave is not Leave.NEVER

    @property
    def may_upload(self) -> bool:
        return self.leave is Leave.CLOUD and self.keep is not Keep.NOTHING

    def bounded_by(self, floor: "Privacy") -> "Privacy":
        """The stricter of both in each respect; the floor's steps come first, and all of both are taken."""
        return Privacy(
            min(self.keep, floor.keep, key=KEEP.index),
            min(self.leave, floor.leave, key=LEAVE.index),
            (*floor.redact, *(step for step in self.redact if step not in floor.redact)),
        )

    def holds_for(self, redacted: tuple[str, ...], *, has_row: bool) -> bool:
        """May what was captured before go to the cloud now? `redacted` are the steps that were taken then."""
        if not self.may_upload or (has_row and self.keep is not Keep.FULL):
            return False
        return not has_row or {str(step) for step in self.redact} <= set(redacted)


OPEN = Privacy()
CLOSED = Privacy(Keep.NOTHING, Leave.NEVER)


@dataclass(frozen=True, slots=True)
class Floor:
    """A node's own word: what is asked of it for `models` by name, and for all `others`."""

    models: Mapping[str, Privacy] = field(default_factory=dict)
    others: Privacy = OPEN

    def bound(self, model: str, asked: Privacy) -> Privacy:
        """What holds for a model for which the cloud asks `asked`."""
        return asked.bounded_by(self.models.get(model, self.others))


NO_FLOOR = Floor()


def of_offload(policy: offload.OffloadPolicy, privacy: Privacy) -> offload.OffloadPolicy:
    return replace(policy, is_private=not privacy.may_ask)


def of_capture(policy: sampling.CapturePolicy, privacy: Privacy) -> sampling.CapturePolicy:
    """Where nothing may be kept for the cloud nothing is chosen: no row is looked at a second time."""
    share = 1.0 if privacy.may_upload else 0.0
    return replace(
        policy,
        exploration=share * policy.exploration,
        hard=share * policy.hard,
        has_row=privacy.keep is Keep.FULL,
        redact=privacy.redact,
    )


def conflicts(privacy: Privacy, policy: offload.OffloadPolicy, capture: sampling.CapturePolicy) -> tuple[str, ...]:
    """What the offload policy of a model asks for and its privacy forbids, for people; empty: nothing."""
    found = []
    if policy.enabled and not privacy.may_ask:
        found.append(f"privacy.leave is {privacy.leave}, so no node asks the teacher, though offload.enabled is true")
    wants_rows = capture.per_s > 0 and (capture.exploration > 0 or capture.hard > 0)
    if wants_rows and privacy.keep is Keep.NOTHING:
        found.append("privacy.keep is Nothing, so no node keeps what offload's shares ask for, and nothing is learned")
    elif wants_rows and privacy.leave is not Leave.CLOUD:
        found.append(
            f"privacy.leave is {privacy.leave}, so no node keeps what offload's shares ask for, and no run learns "
            "from nodes"
        )
    elif wants_rows and privacy.keep is Keep.FEATURES:
        found.append("privacy.keep is Features, so truths count for rollouts, and no run learns from nodes")
    return tuple(found)
