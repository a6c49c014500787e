"""May this request continue that sequence? Pure decisions on the hidden state of a streaming network.

A sequence begins with `sequence_start`, ends with `sequence_end`, and is forgotten after a time without a request. An
answer from a fresh state is never passed off as a continuation: a request without a start for a sequence that is not
held is refused with the reason. The table itself is `serving.states`; `now_s` is any monotonic clock.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from skerry.core import errors
from skerry.core.inference import Parameter

Key = int | str
MAX_KEY_CHARS = 128
LONGEST_IDLE_S = 86_400.0  # where the series asks for it


@dataclass(frozen=True, slots=True)
class SequencePolicy:
    """At most `capacity` sequences are held per version; one that is idle for `idle_s` is forgotten. The windows of all
    of them (`serving.windows`) hold `window_bytes` together."""

    capacity: int = 4096
    idle_s: float = 60.0
    window_bytes: int = 64 << 20


def for_series(policy: SequencePolicy, step_ms: int) -> SequencePolicy:
    """The policy for a forecaster of a series with a value every `step_ms` (0: no forecaster): a sequence outlives two
    readings that did not come, though no more than a day."""
    return replace(policy, idle_s=max(policy.idle_s, min(3 * step_ms / 1000, LONGEST_IDLE_S)))


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says of its sequence (`sequence_id`, `sequence_start`, `sequence_end`)."""

    key: Key
    start: bool
    end: bool


class Move(enum.Enum):
    """The first three go on; the others refuse."""

    BEGIN = "Begin"  # a new sequence, from zeros
    RESTART = "Restart"  # a start for a sequence that is held: from zeros again
    CONTINUE = "Continue"
    UNKNOWN = "Unknown"  # no start, and nothing is known of it
    EXPIRED = "Expired"  # no start, and its state was forgotten after idle_s
    ENDED = "Ended"  # no start, and it was ended before
    REPLACED = "Replaced"  # no start, and the version that held its state is no longer there
    FULL = "Full"  # a start, and as many sequences as may be are held


def read(parameters: Mapping[str, Parameter], model: str) -> Ask:
    """The sequence that a request for a stateful model belongs to. Raises InputError when it names none."""
    key = parameters.get("sequence_id")
    if isinstance(key, bool) or not isinstance(key, int | str) or key in (0, "") or len(str(key)) > MAX_KEY_CHARS:
        raise errors.InputError(
            f"model {model!r} keeps state between requests: send sequence_id, a whole number above 0 or a text of "
            f"1..{MAX_KEY_CHARS} characters, and sequence_start with the first request"
        )
    return Ask(key, _flag(parameters, "sequence_start"), _flag(parameters, "sequence_end"))


def decide(
    ask: Ask, used_s: float | None, gone: Move | None, held: int, policy: SequencePolicy, *, now_s: float
) -> Move:
    """`used_s`: when the sequence was last used, None when it is not held; `gone`: why it no longer is, if known;
    `held`: how many sequences are held now."""
    is_held = used_s is not None and now_s - used_s < policy.idle_s
    if ask.start:
        if is_held:
            return Move.RESTART
        return Move.BEGIN if held < policy.capacity else Move.FULL
    if is_held:
        return Move.CONTINUE
    return Move.EXPIRED if used_s is not None else gone or Move.UNKNOWN


def refusal(move: Move, ask: Ask, model: str, policy: SequencePolicy) -> errors.SkerryError | None:
    """The error a refusing move is answered with; None when the request goes on.

    Unknown and ended sequences are NotFoundError, lost state (expired, replaced) is RejectedError, a full table is
    OverloadedError.
    """
    name = f"sequence {ask.key!r} of model {model!r}"
    if move is Move.UNKNOWN:
        return errors.NotFoundError(f"{name} is not known here: begin it with sequence_start")
    if move is Move.ENDED:
        return errors.NotFoundError(f"{name} has ended: begin a new one with sequence_start")
    if move is Move.EXPIRED:
        return errors.RejectedError(
            f"state expired: {name} was idle for {policy.idle_s:g} s or more; begin again with sequence_start"
        )
    if move is Move.REPLACED:
        return errors.RejectedError(
            f"state expired: {name} was held by a version that is no longer loaded; begin again with sequence_start"
        )
    if move is Move.FULL:
        return errors.OverloadedError(f"{name} cannot begin: {policy.capacity} sequences are held; end some or wait")
    return None


def _flag(parameters: Mapping[str, Parameter], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise errors.InputError(f"parameter {name} must be true or false, not {str(value)[:40]!r}")
    return value
