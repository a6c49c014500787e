"""A token is good for the answer that it came with, on the node that gave it, for a time, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, feedback

KEY, OTHER_KEY = b"k" * feedback.KEY_BYTES, b"o" * feedback.KEY_BYTES
ANSWER = bytes(range(feedback.ANSWER_BYTES))
NOW, DAY = 1_800_000_000, 86_400
MONTH = feedback.Lifetime(NOW, 30 * DAY)
TOKEN = feedback.issue(KEY, "digits", "part-17", ANSWER, NOW)


def test_it_names_its_answer_to_the_node_that_gave_it() -> None:
    assert feedback.answer_of(KEY, TOKEN, "digits", "part-17", MONTH) == ANSWER


@pytest.mark.parametrize("row", ["part-17#0", "part-17#255"])
def test_it_is_good_for_each_row_of_its_request(row: str) -> None:
    assert feedback.answer_of(KEY, TOKEN, "digits", row, MONTH) == ANSWER


@pytest.mark.parametrize(
    ("key", "model", "request_id"),
    [
        pytest.param(OTHER_KEY, "digits", "part-17", id="another node"),
        pytest.param(KEY, "digit", "part-17", id="another model"),
        pytest.param(KEY, "digits", "part-18", id="another request"),
        pytest.param(KEY, "digitsp", "art-17", id="the same letters, cut elsewhere"),
        pytest.param(KEY, "digits", "part-17#x", id="no row"),
        pytest.param(KEY, "digits", "", id="no request"),
    ],
)
def test_it_is_refused_for_anything_else(key: bytes, model: str, request_id: str) -> None:
    with pytest.raises(errors.ForbiddenError, match="did not come with the answer"):
        feedback.answer_of(key, TOKEN, model, request_id, MONTH)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_single_other_letter_makes_it_worthless(at: int, letter: str) -> None:
    forged = TOKEN[:at] + letter + TOKEN[at + 1 :]
    if forged != TOKEN:
        with pytest.raises(errors.ForbiddenError):
            feedback.answer_of(KEY, forged, "digits", "part-17", MONTH)


@pytest.mark.parametrize(
    "text", ["x", "ü" * len(TOKEN), TOKEN + "=", TOKEN[:-4], "\x00" * len(TOKEN), "A" * len(TOKEN)]
)
def test_what_is_no_token_is_told_as_that(text: str) -> None:
    with pytest.raises(errors.ForbiddenError, match="no feedback token"):
        feedback.answer_of(KEY, text, "digits", "part-17", MONTH)


def test_it_ends_with_its_time_and_says_how_old_it_is() -> None:
    assert feedback.answer_of(KEY, TOKEN, "digits", "part-17", feedback.Lifetime(NOW + 30 * DAY, 30 * DAY))
    with pytest.raises(feedback.ExpiredTokenError, match=r"31\.0 days old and was good for 30\.0"):
        feedback.answer_of(KEY, TOKEN, "digits", "part-17", feedback.Lifetime(NOW + 31 * DAY, 30 * DAY))


@pytest.mark.parametrize(
    ("least_s", "horizon_s", "good_for_s"),
    [
        pytest.param(31 * DAY, 0, 31 * DAY, id="the truth may come at once"),
        pytest.param(100, 0, 100, id="however short its time is"),
        pytest.param(100, 900, 900 + DAY, id="after the horizon"),
        pytest.param(31 * DAY, 7 * DAY, 31 * DAY, id="a horizon that is over before"),
        pytest.param(31 * DAY, 40 * DAY, 41 * DAY, id="a long one"),
    ],
)
def test_it_is_good_for_the_horizon_and_a_day_at_least(least_s: int, horizon_s: int, good_for_s: int) -> None:
    assert feedback.good_for_s(least_s, 1000 * horizon_s) == good_for_s


def test_a_clock_that_was_put_back_spoils_no_token() -> None:
    assert feedback.answer_of(KEY, TOKEN, "digits", "part-17", feedback.Lifetime(NOW - 400 * DAY, DAY)) == ANSWER


def test_what_lets_callers_in_is_named_by_its_words() -> None:
    assert feedback.parse_proofs("Token") == {feedback.Proof.TOKEN}
    assert feedback.parse_proofs("Secret, Token") == {feedback.Proof.TOKEN, feedback.Proof.SECRET}
    assert feedback.parse_proofs("Off") == frozenset()


@pytest.mark.parametrize("text", ["", "token", "Off,Token", "Token,", "Password"])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match="Token, Secret, Certificate"):
        feedback.parse_proofs(text)
