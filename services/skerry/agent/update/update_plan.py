"""What to do next for one model: a pure decision from what is assigned and what is known on the node.

Level-triggered: it is asked again whenever anything changed and always answers from the whole picture, so a lost, late
or repeated message changes nothing. A permit is good once, for a request that this node made, until its time is up; the
time counts from the moment the report with that request was sent, by a clock that also goes while the machine sleeps
(`awake_clock`; the cloud counts from later). One that comes too late is given up, used up in the ledger: so the cloud
knows that it will not be used, and hears another request.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from skerry.agent.update import ledger
from skerry.agent.update.states import State
from skerry.core import digests, errors
from skerry.proto import fleet_pb2

# Bringing a version up may kill the process (an illegal instruction that the self-test did not meet). Two deaths are no
# accident.
MAX_TRIES = 2
WAITS = "waits for a permit"


@dataclass(frozen=True, slots=True)
class Permit:
    number: int
    ttl_s: float
    request: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the cloud wants this node to serve. `rollout` empty: the settled version. `rollback`: it may be an older
    one than serves now."""

    model: str
    digest: str
    version: int
    target_path: str
    rollout: str
    attempt: int
    permit: Permit | None = None
    rollback: bool = False

    @property
    def key(self) -> ledger.Key:
        return ledger.Key(self.model, self.digest, self.rollout, self.attempt)

    @property
    def pointer(self) -> ledger.Pointer:
        return ledger.Pointer(self.version, self.digest)


def parse(message: fleet_pb2.Assignment) -> Assignment:
    """Raises InputError for a malformed digest, version or path."""
    if message.version <= 0:
        raise errors.InputError(f"{message.model}: version {message.version} is not a release counter")
    if message.target_path.split("/")[1:] != [message.model, str(message.version)]:
        raise errors.InputError(f"{message.target_path!r} is not the path of {message.model} version {message.version}")
    permit = None
    if message.HasField("permit"):
        given = message.permit
        permit = Permit(given.number, given.ttl_ms / 1000, given.request, given.epoch)
    return Assignment(
        message.model,
        digests.check(message.digest, f"digest of {message.model} version {message.version}"),
        message.version,
        message.target_path,
        message.rollout,
        message.attempt,
        permit,
        message.rollback,
    )


class Action(enum.Enum):
    NOTHING = "Nothing"
    FETCH = "Fetch"
    SWAP = "Swap"
    GIVE_UP = "GiveUp"  # write the permit's number into the ledger, and ask anew
    REFUSE = "Refuse"  # write `state` and `reason` into the ledger


@dataclass(frozen=True, slots=True)
class Facts:
    """What the node knows. `requests`: sequence of each report that asked for a permit -> when it was sent."""

    serving: ledger.Pointer | None
    refusal: ledger.Refusal | None
    tries: int
    is_staged: bool
    retry_at_s: float  # not before this may a failed fetch be tried again
    last_failure: str
    highest_permit: int
    highest_epoch: int
    requests: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Step:
    """`state` is what the node reports of the assignment meanwhile."""

    action: Action
    state: State
    reason: str = ""

    @property
    def is_news(self) -> bool:
        """Is it told at once? That a fetch or a swap is under way goes with the next heartbeat, if it lasts so long:
        each report that says something new is a write of the cloud's."""
        return self.action not in (Action.FETCH, Action.SWAP)


def next_step(wanted: Assignment, facts: Facts, *, now_s: float) -> Step:
    """The one thing to do now, and how the assignment stands."""
    if facts.serving == wanted.pointer:
        return Step(Action.NOTHING, State.SERVING)
    if facts.serving is not None and wanted.version < facts.serving.version and not wanted.rollback:
        text = (
            f"version {wanted.version} is older than {facts.serving.version}, which serves, and no rollback was ordered"
        )
        return Step(Action.NOTHING, State.REFUSED, text)
    if facts.refusal is not None:
        return Step(Action.NOTHING, facts.refusal.state, facts.refusal.reason)
    if facts.tries >= MAX_TRIES:
        text = f"this node's process died {facts.tries} times while bringing up version {wanted.version}"
        return Step(Action.REFUSE, State.SWAP_FAILED, text)
    if not facts.is_staged:
        if now_s < facts.retry_at_s:
            return Step(Action.NOTHING, State.FETCH_FAILED, facts.last_failure)
        return Step(Action.FETCH, State.FETCHING)
    fault = permit_fault(wanted.permit, facts)
    if fault:
        return Step(Action.NOTHING, State.STAGED, fault)
    assert wanted.permit is not None
    if now_s >= facts.requests[wanted.permit.request] + wanted.permit.ttl_s:
        return Step(Action.GIVE_UP, State.STAGED, WAITS)
    return Step(Action.SWAP, State.STAGED, "a permit is being used")


def permit_fault(permit: Permit | None, facts: Facts) -> str:
    """Why this permit never allows a swap; empty where it does in its time."""
    if permit is None:
        return WAITS
    if permit.number <= facts.highest_permit:
        return f"permit {permit.number} was used before; waits for a new one"
    if permit.epoch < facts.highest_epoch:
        return f"permit {permit.number} is from a deposed leader (stale epoch {permit.epoch}); waits for a new one"
    if permit.request not in facts.requests:
        return f"permit {permit.number} answers request {permit.request}, which this node did not make; waits"
    return ""
