"""Which answers are kept: the sentences of the policy, and the shares it promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import sampling
from skerry.core.sampling import CapturePolicy, Kind

POLICY = CapturePolicy(exploration=0.1, hard=1.0)


@pytest.mark.parametrize(
    ("confidence", "policy", "u", "expected"),
    [
        pytest.param(0.9, POLICY, 0.05, Kind.EXPLORATION, id="a confident answer may be explored"),
        pytest.param(0.9, POLICY, 0.5, None, id="else a confident answer is not kept"),
        pytest.param(0.3, POLICY, 0.05, Kind.EXPLORATION, id="exploration does not look at the confidence"),
        pytest.param(0.3, POLICY, 0.5, Kind.HARD, id="an unsure answer is hard"),
        pytest.param(0.6, POLICY, 0.5, None, id="an answer at the threshold is sure"),
        pytest.param(0.3, CapturePolicy(exploration=0.0, hard=0.0), 0.0, None, id="all shares zero keep nothing"),
        pytest.param(0.9, CapturePolicy(exploration=1.0), 0.999999, Kind.EXPLORATION, id="exploring all keeps all"),
        pytest.param(
            0.3, CapturePolicy(exploration=0.5, hard=0.5), 0.74, Kind.HARD, id="hard share of what is left, below"
        ),
        pytest.param(0.3, CapturePolicy(exploration=0.5, hard=0.5), 0.76, None, id="hard share of what is left, above"),
    ],
)
def test_choose(confidence: float, policy: CapturePolicy, u: float, expected: Kind | None) -> None:
    assert sampling.choose(confidence=confidence, threshold=0.6, policy=policy, u=u) is expected


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_shares_are_what_the_policy_says(exploration: float, hard: float) -> None:
    us = (np.arange(2000) + 0.5) / 2000
    policy = CapturePolicy(exploration=exploration, hard=hard)
    kinds = [sampling.choose(confidence=0.1, threshold=0.6, policy=policy, u=float(u)) for u in us]
    assert kinds.count(Kind.EXPLORATION) / 2000 == pytest.approx(exploration, abs=1e-3)
    assert kinds.count(Kind.HARD) / 2000 == pytest.approx((1 - exploration) * hard, abs=2e-3)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.floats(0, 1))
def test_exploration_is_the_same_choice_at_every_confidence(u: float, low: float, high: float) -> None:
    kinds = [sampling.choose(confidence=c, threshold=0.6, policy=POLICY, u=u) for c in (low, high)]
    assert (kinds[0] is Kind.EXPLORATION) == (kinds[1] is Kind.EXPLORATION)


def test_the_cap_starts_with_one_second_of_captures() -> None:
    bucket = sampling.start(CapturePolicy(per_s=3.0), 0.0)
    for _ in range(3):
        taken = bucket.take(1, 0.0)
        assert taken is not None
        bucket = taken
    assert bucket.take(1, 0.0) is None


def kept(sure: list[bool], draws: list[float], window: int, policy: CapturePolicy) -> list[tuple[int, Kind]]:
    """The steps of a sequence with such answers whose windows are kept; each stretch is drawn by the next number."""
    stretch, steps, drawn = sampling.Stretch(draws[0]), [], 1
    for at, is_sure in enumerate(sure):
        kind, stretch = sampling.choose_window(
            stretch,
            1,
            window,
            confidence=0.9 if is_sure else 0.1,
            threshold=0.5,
            policy=policy,
            next_u=draws[drawn % len(draws)],
        )
        drawn += stretch.steps == 0
        if kind is not None:
            steps.append((at, kind))
    return steps


@pytest.mark.parametrize(
    ("answers", "draws", "expected"),
    [
        pytest.param("SSHSS", [0.5], [], id="a hard step before its window is full is not kept"),
        pytest.param("SSSHHHHHS", [0.5], [(3, Kind.HARD), (7, Kind.HARD)], id="what was kept is not kept again"),
        pytest.param("SSSSSHSSSH", [0.5], [(5, Kind.HARD), (9, Kind.HARD)], id="a hard step is kept where it stands"),
        pytest.param("SSSSSSSS", [0.0, 0.5], [(3, Kind.EXPLORATION)], id="an explored stretch is kept at its end"),
        pytest.param(
            "SSSSSSHH", [0.5, 0.0], [(7, Kind.EXPLORATION)], id="no hard step of an explored stretch is kept before"
        ),
        pytest.param(
            "SSSHHSSSHHSS",
            [0.5, 0.0, 0.5],
            [(3, Kind.HARD), (7, Kind.EXPLORATION)],
            id="nor a hard one that would share steps with it",
        ),
    ],
)
def test_windows_of_a_sequence(answers: str, draws: list[float], expected: list[tuple[int, Kind]]) -> None:
    assert kept([answer == "S" for answer in answers], draws, 4, POLICY) == expected


def test_of_windows_that_may_overlap_every_full_one_is_chosen_by_itself() -> None:
    """Before: of 48 answers of a streaming forecaster that keeps every answer two were kept."""
    policy, stretch, kinds = CapturePolicy(exploration=1.0), sampling.Stretch(0.9), []
    for _ in range(48):
        kind, stretch = sampling.choose_window(
            stretch, 1, 24, confidence=0.9, threshold=0.5, policy=policy, next_u=0.9, may_overlap=True
        )
        kinds.append(kind)
    assert kinds == [None] * 23 + [Kind.EXPLORATION] * 25


def test_of_windows_that_may_overlap_a_share_is_explored_and_hard_ones_are_kept() -> None:
    policy, stretch, kinds = CapturePolicy(exploration=0.5), sampling.Stretch(0.0, 0, 4), []
    for next_u, sure in ((0.7, 0.9), (0.7, 0.9), (0.2, 0.1), (0.7, 0.1)):
        kind, stretch = sampling.choose_window(
            stretch, 1, 4, confidence=sure, threshold=0.5, policy=policy, next_u=next_u, may_overlap=True
        )
        kinds.append(kind)
    assert kinds == [Kind.EXPLORATION, None, Kind.HARD, Kind.EXPLORATION]


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.lists(st.sampled_from([0.0, 0.5]), min_size=1, max_size=9),
    st.integers(1, 7),
)
def test_windows_never_share_a_step_and_what_is_explored_does_not_depend_on_what_was_hard(
    sure: list[bool], draws: list[float], window: int
) -> None:
    steps = kept(sure, draws, window, POLICY)
    ends = [at for at, _ in steps]
    assert all(later - before >= window for before, later in itertools.pairwise(ends))
    assert not ends or ends[0] >= window - 1
    explored = [at for at, kind in steps if kind is Kind.EXPLORATION]
    assert explored == [at for at, _ in kept([True] * len(sure), draws, window, POLICY)]
