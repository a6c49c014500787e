"""What may happen to a sequence: a table, one row per sentence of the policy."""

import pytest

from skerry.core import errors, sequences
from skerry.core.sequences import Ask, Move, SequencePolicy

POLICY = SequencePolicy(capacity=2, idle_s=10.0)
START, STEP = Ask(7, start=True, end=False), Ask(7, start=False, end=False)


@pytest.mark.parametrize(
    ("ask", "used_s", "gone", "held", "move", "error"),
    [
        (START, None, None, 0, Move.BEGIN, None),
        (START, 95.0, None, 2, Move.RESTART, None),
        (START, 80.0, None, 1, Move.BEGIN, None),
        (START, None, None, 2, Move.FULL, errors.OverloadedError),
        (START, None, Move.ENDED, 0, Move.BEGIN, None),
        (STEP, 95.0, None, 1, Move.CONTINUE, None),
        (STEP, 95.0, None, 2, Move.CONTINUE, None),
        (STEP, None, None, 0, Move.UNKNOWN, errors.NotFoundError),
        (STEP, 90.0, None, 1, Move.EXPIRED, errors.RejectedError),
        (STEP, None, Move.EXPIRED, 0, Move.EXPIRED, errors.RejectedError),
        (STEP, None, Move.ENDED, 0, Move.ENDED, errors.NotFoundError),
        (STEP, None, Move.REPLACED, 0, Move.REPLACED, errors.RejectedError),
    ],
    ids=[
        "a start begins",
        "a second start begins again",
        "a start after expiry begins",
        "a start in a full table is refused",
        "a start after the end begins",
        "a step goes on",
        "a step goes on in a full table",
        "a step of an unknown sequence is refused",
        "a step after the idle time is refused as expired",
        "a step of one that was expired before is refused as expired",
        "a step after the end is refused",
        "a step whose version is gone is refused",
    ],
)
def test_moves(
    ask: Ask, used_s: float | None, gone: Move | None, held: int, move: Move, error: type[Exception] | None
) -> None:
    assert sequences.decide(ask, used_s, gone, held, POLICY, now_s=100.0) is move
    refusal = sequences.refusal(move, ask, "digits", POLICY)
    assert (type(refusal) if refusal else None) is error
    if refusal is not None and move in (Move.EXPIRED, Move.REPLACED):
        assert "state expired" in str(refusal)


@pytest.mark.parametrize(
    ("parameters", "ask"),
    [
        ({"sequence_id": 7}, Ask(7, False, False)),
        ({"sequence_id": "camera-1", "sequence_start": True}, Ask("camera-1", True, False)),
        ({"sequence_id": 7, "sequence_end": True, "other": 1}, Ask(7, False, True)),
    ],
)
def test_parameters_name_the_sequence(parameters: dict[str, bool | int | str], ask: Ask) -> None:
    assert sequences.read(parameters, "digits") == ask


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sequence_id": 0},
        {"sequence_id": ""},
        {"sequence_id": True},
        {"sequence_id": 1.5},
        {"sequence_id": "x" * 129},
        {"sequence_id": 7, "sequence_start": 1},
        {"sequence_id": 7, "sequence_end": "true"},
    ],
)
def test_a_request_that_names_no_sequence_is_refused(parameters: dict[str, bool | int | float | str]) -> None:
    with pytest.raises(errors.InputError):
        sequences.read(parameters, "digits")


@pytest.mark.parametrize(
    ("step_ms", "idle_s"),
    [(0, 10.0), (1_000, 10.0), (300_000, 900.0), (30 * 86_400_000, 86_400.0)],
    ids=[
        "of classes as ever",
        "of a fast series as ever",
        "two readings of five minutes may be missing",
        "at most a day",
    ],
)
def test_a_sequence_of_a_series_outlives_its_step(step_ms: int, idle_s: float) -> None:
    assert sequences.for_series(POLICY, step_ms) == SequencePolicy(capacity=2, idle_s=idle_s)
