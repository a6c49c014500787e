"""What people may do with a rollout that is there, bound to what they saw of it.

Whoever acts has looked at an attempt, at a wave, at a pause. An abort and a pause hold for the attempt, in whatever
wave it is by then; a resume clears the pauses that were seen; a promotion passes the one wave that was seen. Where the
rollout has moved on, nothing is done, and the error says how it moved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skerry.core import errors, rollout, specs
from skerry.core.intents.objects import Known, Patch
from skerry.core.rollout.status import OPERATOR, PROGRESSING, ROLLING_BACK, SUCCEEDED, Status


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person looked at: the attempt, the name of the wave that stood, the number of the pause. None: not said,
    and not compared."""

    attempt: int | None = None
    wave: str | None = None
    pause: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An action on a rollout, and why it makes no sense now (empty: it does)."""

    action: str
    why_not: str


_UNSEEN = Seen()


def pause(known: Known, seen: Seen = _UNSEEN) -> Patch:
    status = _running(known, "paused", seen)
    if known.spec.get("paused"):
        raise errors.RejectedError(f"{known.name} is paused already")
    if status.state == ROLLING_BACK:
        raise errors.RejectedError(f"{known.name} is rolling back, which a pause does not hold")
    return _patch(known, {"paused": True})


def resume(known: Known, seen: Seen = _UNSEEN) -> Patch:
    """Clears the operator's pause and the automatic ones that the status shows now; a later one pauses again."""
    status = _running(known, "resumed", seen)
    if not known.spec.get("paused") and not status.pause_reasons:
        raise errors.RejectedError(f"{known.name} is not paused")
    _check_pause(known, status, seen)
    return _patch(known, {"paused": False} | _resumed(status), pause=status.pause_number)


def abort(known: Known, seen: Seen = _UNSEEN) -> Patch:
    """Legal in every phase before the end, paused or not."""
    status = _running(known, "aborted", seen)
    if known.spec.get("desired") == "Abort" or status.state == ROLLING_BACK:
        raise errors.RejectedError(f"{known.name} is rolling back already")
    return _patch(known, {"desired": "Abort"})


def promote(known: Known, seen: Seen) -> Patch:
    """Pass the wave `seen.wave` without evidence, if it is the one that stands; clears automatic pauses. Raises
    InputError where no wave is named, or none of that name is there, ConflictError where another one stands."""
    status = _running(known, "promoted", seen)
    if status.state != PROGRESSING or not status.waves:
        raise errors.RejectedError(f"{known.name} has no wave to pass: it is {status.state}")
    _check_wave(known, status, seen.wave)
    if known.spec.get("paused") or OPERATOR in status.pause_reasons:
        raise errors.RejectedError(f"{known.name} is paused by an operator: resume it first")
    _check_pause(known, status, seen)
    spec = {"promotedAttempt": status.attempt, "promotedWave": status.wave}
    return _patch(known, spec | _resumed(status), wave=status.current.name, pause=status.pause_number)


def retry(known: Known, token: str, seen: Seen = _UNSEEN) -> Patch:
    """Another attempt of a rollout that did not succeed; `token` is new. Nodes may verify again what they refused."""
    status = _status(known)
    _check_attempt(known, seen)
    if not status.terminal or status.state == SUCCEEDED:
        raise errors.RejectedError(f"{known.name} is {status.state}: only one that ended without success is retried")
    if token == known.spec.get("retryToken", ""):
        raise errors.RejectedError(f"{known.name} was already retried with token {token!r}")
    spec = {"retryToken": token, "desired": "Proceed", "paused": False}
    return _patch(known, spec, retried=known.spec.get("retryToken", ""))


def offers(known: Known) -> tuple[Offer, ...]:
    """Every action on this rollout with why it makes no sense now: what a page shows as buttons."""
    actions: tuple[tuple[str, Callable[[], Patch]], ...] = (
        ("pause", lambda: pause(known)),
        ("resume", lambda: resume(known)),
        ("promote", lambda: promote(known, Seen(wave=standing(known)))),
        ("abort", lambda: abort(known)),
        ("retry", lambda: retry(known, f"{known.spec.get('retryToken', '')}+")),
    )
    return tuple(Offer(name, _why_not(action)) for name, action in actions)


def standing(known: Known) -> str:
    """The name of the wave that stands now; empty where none does."""
    status = _status(known)
    return status.current.name if status.waves and not status.terminal else ""


def attempt(known: Known) -> int:
    """The attempt that a look at the rollout shows: one that is asked for and did not begin counts as the next."""
    status = _status(known)
    begins = not status.attempt or (status.terminal and status.spec_hash != _fingerprint(known))
    return status.attempt + begins


def _why_not(action: Callable[[], Patch]) -> str:
    try:
        action()
    except errors.SkerryError as exc:
        return str(exc)
    return ""


def _running(known: Known, done: str, seen: Seen) -> Status:
    """The status of a rollout that has not ended, in the attempt that was seen."""
    status = _status(known)
    _check_attempt(known, seen)
    if status.terminal and status.spec_hash == _fingerprint(known):
        hint = "; to go back to an older version use rollback" if status.state == SUCCEEDED else ""
        raise errors.RejectedError(f"{known.name} has ended as {status.state} and cannot be {done}{hint}")
    return status


def _check_attempt(known: Known, seen: Seen) -> None:
    if seen.attempt is not None and seen.attempt != (now := attempt(known)):
        raise errors.ConflictError(
            f"{known.name} is in attempt {now}, not in attempt {seen.attempt}: nothing was done. Look again: "
            f"skerry rollout status {known.name}"
        )


def _check_pause(known: Known, status: Status, seen: Seen) -> None:
    if seen.pause is not None and seen.pause != status.pause_number:
        why = f": {status.pause_message}" if status.pause_message else ""
        raise errors.ConflictError(
            f"{known.name} has paused again since ({', '.join(status.pause_reasons) or 'and went on'}{why}): nothing "
            f"was done. Look again: skerry rollout status {known.name}"
        )


def _check_wave(known: Known, status: Status, wave: str | None) -> None:
    """`wave` is the one that stands."""
    stands, names = status.current.name, [one.name for one in status.waves]
    if not wave:
        raise errors.InputError(
            f"wave {stands} of {known.name} stands now, and nothing was done. To pass it without waiting for evidence, "
            f"name it: skerry rollout promote {known.name} --wave {stands}"
        )
    if wave not in names:
        raise errors.InputError(f"{known.name} has no wave {wave[:120]!r}: its waves are {', '.join(names)}")
    if names.index(wave) < status.wave:
        verdict = status.waves[names.index(wave)].verdict
        raise errors.ConflictError(
            f"wave {wave} of {known.name} is passed already ({verdict.get('reason') or 'it was not said why'}), and "
            f"wave {stands} stands now: nothing was done"
        )
    if wave != stands:
        raise errors.ConflictError(f"wave {stands} of {known.name} stands, {wave} has not begun: nothing was done")


def _patch(known: Known, spec: dict[str, Any], **seen: Any) -> Patch:
    return Patch("ModelRollout", known.name, spec, {"attempt": attempt(known), **seen})


def _status(known: Known) -> Status:
    return rollout.from_json(known.name, known.status)


def _fingerprint(known: Known) -> str:
    return specs.parse_rollout(known.name, known.spec).fingerprint


def _resumed(status: Status) -> dict[str, Any]:
    return {"resumedAttempt": status.attempt, "resumedPause": status.pause_number}
