"""Who may tell the truth of an earlier request, and how much of it."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from skerry.agent import feedback_access, feedback_tokens
from skerry.core import errors, feedback
from skerry.proto import edge_pb2

SECRET = "a-secret-of-this-site"
Proof = feedback.Proof


class Caller:
    """A call as `Access` sees it."""

    def __init__(self, metadata: dict[str, str | bytes] | None = None, certificate: bytes | None = None) -> None:
        self.metadata, self.peer_certificate = metadata or {}, certificate


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000

    def __call__(self) -> int:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> feedback_tokens.Tokens:
    return feedback_tokens.Tokens(b"k" * feedback.KEY_BYTES, clock, good_for_s=100)


def admitted(tokens: feedback_tokens.Tokens, *proofs: Proof, caller: Caller | None = None, **fields: Any) -> str | None:
    request = edge_pb2.FeedbackRequest(**({"model": "digits", "request_id": "r"} | fields))
    access = feedback_access.Access(frozenset(proofs), tokens, SECRET)
    return access.admit(caller or Caller(), request)  # type: ignore[arg-type]


def bearer(secret: str) -> Caller:
    return Caller({"authorization": f"Bearer {secret}"})


def test_a_token_names_the_answer_that_it_came_with(tokens: feedback_tokens.Tokens) -> None:
    answer, token = tokens.name("digits", "r")
    assert admitted(tokens, Proof.TOKEN, token=token) == answer
    assert admitted(tokens, Proof.SECRET, Proof.TOKEN, token=token) == answer, "of several proofs each will do"


def test_who_has_the_secret_or_a_certificate_needs_the_requests_name_alone(
    tokens: feedback_tokens.Tokens,
) -> None:
    assert admitted(tokens, Proof.SECRET, caller=bearer(SECRET)) is None
    assert admitted(tokens, Proof.CERTIFICATE, caller=Caller(certificate=b"DER")) is None


@pytest.mark.parametrize(
    ("proofs", "caller", "text"),
    [
        pytest.param([Proof.TOKEN], Caller(), "skerry_feedback_token", id="nothing, a token is asked for"),
        pytest.param([Proof.TOKEN], bearer(SECRET), "skerry_feedback_token", id="a secret, a token is asked for"),
        pytest.param([Proof.TOKEN], Caller(certificate=b"DER"), "token", id="a certificate, a token is asked for"),
        pytest.param([Proof.SECRET], Caller(), "authorization: Bearer", id="nothing, a secret is asked for"),
        pytest.param([Proof.CERTIFICATE], Caller(), "client certificate", id="nothing, a certificate is asked for"),
        pytest.param([Proof.TOKEN, Proof.SECRET], Caller(), ", or the site's secret", id="nothing, either would do"),
    ],
)
def test_who_shows_nothing_is_told_what_is_needed(
    tokens: feedback_tokens.Tokens, proofs: list[Proof], caller: Caller, text: str
) -> None:
    with pytest.raises(errors.UnauthenticatedError, match=text):
        admitted(tokens, *proofs, caller=caller)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer other", f"Basic {SECRET}", f"Bearer {SECRET}x"])
def test_a_wrong_secret_is_refused(tokens: feedback_tokens.Tokens, given: str) -> None:
    with pytest.raises(errors.RejectedError):
        admitted(tokens, Proof.SECRET, caller=Caller({"authorization": given}))


def test_a_wrong_token_is_refused_though_the_secret_is_right(tokens: feedback_tokens.Tokens) -> None:
    _, token = tokens.name("digits", "another")
    with pytest.raises(errors.ForbiddenError, match="did not come with"):
        admitted(tokens, Proof.TOKEN, Proof.SECRET, caller=bearer(SECRET), token=token)


def test_an_old_token_is_told_apart(tokens: feedback_tokens.Tokens, clock: Clock) -> None:
    _, token = tokens.name("digits", "r")
    clock.now_s += 101
    with pytest.raises(feedback.ExpiredTokenError):
        admitted(tokens, Proof.TOKEN, token=token)


def test_where_feedback_is_off_nobody_is_let_in(tokens: feedback_tokens.Tokens) -> None:
    with pytest.raises(errors.ForbiddenError, match="SKERRY_FEEDBACK=Off"):
        admitted(tokens, caller=bearer(SECRET), token=tokens.name("digits", "r")[1])


def test_a_key_is_made_once_and_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "feedback.key"
    first = feedback_tokens.key(path)
    assert feedback_tokens.key(path) == first != feedback_tokens.key(tmp_path / "other")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["feedback.key"]


def test_a_key_that_another_agent_made_meanwhile_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "feedback.key", os.link

    def later(source: Path, target: Path) -> None:
        path.write_bytes(b"t" * feedback.KEY_BYTES)
        link(source, target)

    monkeypatch.setattr(os, "link", later)
    assert feedback_tokens.key(path) == b"t" * feedback.KEY_BYTES


@pytest.mark.parametrize("size_bytes", [0, feedback.KEY_BYTES - 1, feedback.KEY_BYTES + 1, 1 << 20])
def test_a_damaged_key_is_replaced_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size_bytes: int
) -> None:
    (tmp_path / "feedback.key").write_bytes(b"?" * size_bytes)
    with caplog.at_level(logging.ERROR):
        found = feedback_tokens.key(tmp_path / "feedback.key")
    assert (tmp_path / "feedback.key").read_bytes() == found
    assert [record.message for record in caplog.records] == ["feedback_key_damaged"]


def test_without_a_disk_to_write_to_tokens_are_good_until_the_process_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with caplog.at_level(logging.ERROR):
        assert len(feedback_tokens.key(tmp_path / "state" / "feedback.key")) == feedback.KEY_BYTES
    assert [record.message for record in caplog.records] == ["feedback_key_not_kept"]


@pytest.mark.parametrize("fails", ["stat", "unlink", "link"])
def test_with_a_disk_that_fails_tokens_are_good_until_the_process_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Behind a folder that may not be entered, and on a disk that takes no changes any more."""
    path = tmp_path / "feedback.key"
    path.write_bytes(b"no key")

    def failing(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr(*((os, fails) if fails == "link" else (Path, fails)), failing)
        assert len(feedback_tokens.key(path)) == feedback.KEY_BYTES
    assert caplog.records[-1].message == "feedback_key_not_kept"


def test_one_caller_spends_its_own_budget_alone() -> None:
    now = [0.0]
    budgets = feedback_access.CallerBudgets(lambda: now[0], per_s=1, burst=3)
    for _ in range(3):
        budgets.spend("10.0.0.1:5000")
    with pytest.raises(errors.OverloadedError, match=r"10\.0\.0\.1 sends more than 1 truths a second"):
        budgets.spend("10.0.0.1:5001")
    budgets.spend("10.0.0.2:5000")
    now[0] = 1.0
    budgets.spend("10.0.0.1:5002")


def test_an_ipv6_host_has_one_budget_for_all_its_addresses() -> None:
    budgets = feedback_access.CallerBudgets(lambda: 0.0, per_s=1, burst=1)
    budgets.spend("[2001:db8::1]:5000")
    with pytest.raises(errors.OverloadedError):
        budgets.spend("[2001:db8::2]:5000")


def test_many_callers_cost_a_bounded_memory() -> None:
    budgets = feedback_access.CallerBudgets(lambda: 0.0, max_places=10)
    for host in range(100):
        budgets.spend(f"10.0.0.{host}:1")
    assert len(budgets._of_place) == 10


@pytest.mark.parametrize("text", ["", "short", " \n"])
def test_a_secret_that_can_be_guessed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(errors.InputError, match="at least 16 characters"):
        feedback_access.read_secret(tmp_path / "secret")


def test_a_token_waits_for_the_truth_of_a_forecast(tokens: feedback_tokens.Tokens, clock: Clock) -> None:
    answer, token = tokens.name("load", "r")
    clock.now_s += 3600 + 86_400
    assert tokens.answer_of(token, "load", "r", horizon_ms=3_600_000) == answer
    clock.now_s += 1
    with pytest.raises(feedback.ExpiredTokenError, match=r"was good for 1\.0"):
        tokens.answer_of(token, "load", "r", horizon_ms=3_600_000)
