"""A ticket opens its own run's blobs, for a time, and cannot be made or altered without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import digests, errors, job_tickets

KEY, OTHER = b"k" * 32, b"o" * 32
CONTENT = digests.blob_path(digests.sha256(b"x"))
DATASET = f"datasets/digits/{'a' * 64}"

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True)
TIMES = st.integers(1, 10**11)


@given(run=NAMES, expiry=TIMES, late=st.integers(0, 10**6))
def test_a_ticket_says_its_run_until_it_expires(run: str, expiry: int, late: int) -> None:
    ticket = job_tickets.issue(KEY, run, expiry)
    assert job_tickets.check(KEY, ticket, now_unix_s=expiry - 1) == run
    with pytest.raises(errors.RejectedError, match="expired"):
        job_tickets.check(KEY, ticket, now_unix_s=expiry + late)


@given(run=NAMES, expiry=TIMES, place=st.integers(0, 10**6), letter=st.characters(codec="ascii"))
def test_a_ticket_altered_anywhere_is_none(run: str, expiry: int, place: int, letter: str) -> None:
    ticket = job_tickets.issue(KEY, run, expiry)
    place %= len(ticket)
    altered = ticket[:place] + letter + ticket[place + 1 :]
    if altered != ticket:
        with pytest.raises(errors.RejectedError):
            job_tickets.check(KEY, altered, now_unix_s=0)


@pytest.mark.parametrize("text", ["", "a", "run.1", "run.1.", "run.x." + "0" * 64, "é.1." + "0" * 64, "x" * 10_000])
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(errors.RejectedError, match="no ticket"):
        job_tickets.check(KEY, text, now_unix_s=0)


def test_a_ticket_of_another_key_is_refused() -> None:
    with pytest.raises(errors.RejectedError, match="not made with this gateway's key"):
        job_tickets.check(OTHER, job_tickets.issue(KEY, "run-1", 100), now_unix_s=0)


def test_run_and_expiry_cannot_be_shifted_into_one_another() -> None:
    one, other = job_tickets.issue(KEY, "run.1", 23), job_tickets.issue(KEY, "run", 123)
    assert one.rpartition(".")[2] != other.rpartition(".")[2]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        pytest.param(CONTENT, "GET HEAD PUT", id="content may be read and written"),
        pytest.param(DATASET, "GET HEAD", id="datasets may be read"),
        pytest.param("runs/run-1.json", "GET HEAD", id="its own snapshot may be read"),
        pytest.param("proposals/run-1.json", "PUT", id="its own proposal may be written"),
        pytest.param("runs/run-2.json", "", id="another run's snapshot may not"),
        pytest.param("proposals/run-2.json", "", id="nor its proposal"),
        pytest.param("examples/digits/" + "a" * 64, "", id="examples are not for jobs"),
        pytest.param("labels/digits/" + "a" * 64 + ".json", "", id="nor labels"),
        pytest.param("datasets/digits", "", id="a listing"),
        pytest.param("sha256/00/" + "1" * 64, "", id="content in the wrong folder"),
        pytest.param(CONTENT + "\n", "", id="a line break after it"),
        pytest.param("../" + CONTENT, "", id="a way out"),
        pytest.param("runs/run-1xjson", "", id="a dot is a dot"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_what_a_ticket_opens(path: str, methods: str) -> None:
    opened = [one for one in ("GET", "HEAD", "PUT", "DELETE", "POST") if not job_tickets.why_denied(path, one, "run-1")]
    assert " ".join(opened) == methods


@pytest.mark.parametrize("size", [0, 31, 5000])
def test_a_key_of_the_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(errors.InputError, match="32 to 4096"):
        job_tickets.check_key(b"x" * size)


@pytest.mark.parametrize("run", ["", "a/b", ".x", "x" * 300, "a\n"])
def test_a_run_that_no_path_may_hold_gets_no_ticket(run: str) -> None:
    with pytest.raises(errors.InputError):
        job_tickets.issue(KEY, run, 100)
