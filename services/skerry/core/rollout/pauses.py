"""Standing still, beside the state: an operator's `spec.paused`, and automatic pauses that only an operator clears.

Automatic pauses are persisted and numbered within the rollout; `spec.resumedAttempt` and `spec.resumedPause` name what
an operator has seen and cleared. A pause blocks promotion and permits, never safety: rolling back goes on.
"""

from dataclasses import replace

from skerry.core import specs
from skerry.core.rollout.status import MESSAGE_CHARS, OPERATOR, PENDING, PROGRESSING, Status

EMPTY_WAVE = "EmptyWave"
ALL_INCOMPATIBLE = "AllIncompatible"
TOO_FEW_REACHABLE = "TooFewReachable"
DEADLINE = "ProgressDeadlineExceeded"
INCONCLUSIVE, ANALYSIS_ERROR = "Inconclusive", "AnalysisError"


def paused(status: Status) -> bool:
    """Is an effective pause on? Never while rolling back."""
    return bool(status.pause_reasons) and status.state in (PENDING, PROGRESSING)


def apply_operator_input(rollout: specs.ModelRollout, status: Status, now_ms: int, clock_ms: int) -> Status:
    """`status` with the pauses that an operator asked for or cleared. A cleared pause restarts the deadlines."""
    automatic = tuple(reason for reason in status.pause_reasons if reason != OPERATOR)
    if rollout.resumed_attempt == status.attempt and rollout.resumed_pause >= status.pause_number:
        automatic = ()
    reasons = automatic + ((OPERATOR,) if rollout.paused else ())
    if reasons == status.pause_reasons:
        return status
    status = replace(status, pause_reasons=reasons, pause_message=status.pause_message if automatic else "")
    return status if reasons else _restart_deadlines(status, now_ms, clock_ms)


def pause(status: Status, reason: str, message: str) -> Status:
    """`status` with one more automatic pause, unless that one is on."""
    if reason in status.pause_reasons:
        return status
    return replace(
        status,
        pause_reasons=(*status.pause_reasons, reason),
        pause_message=message[:MESSAGE_CHARS],
        pause_number=status.pause_number + 1,
    )


def _restart_deadlines(status: Status, now_ms: int, clock_ms: int) -> Status:
    waves = tuple(
        replace(wave, judge_since_ms=now_ms, judge_clock_ms=clock_ms) if wave.judge_since_ms else wave
        for wave in status.waves
    )
    return replace(status, waves=waves, progress_ms=now_ms, progress_clock_ms=clock_ms)
