"""Which examples an erasure means, and what may be asked for."""

from typing import Any

import pytest

from skerry.core import erasure_progress, erasures, errors, moments

FACTS = erasures.Facts("digits", "cam-1", "sha256:" + "ab" * 32, "visit#12", "cd" * 32, 1000, 2000)


@pytest.mark.parametrize(
    ("spec", "means"),
    [
        ({"node": "cam-1"}, True),
        ({"node": "cam-2"}, False),
        ({"node": "cam-1", "model": "digits"}, True),
        ({"node": "cam-1", "model": "letters"}, False),
        ({"example": "sha256:" + "ab" * 32}, True),
        ({"request": "visit"}, True),
        ({"request": "visit#12"}, True),
        ({"request": "visi"}, False),
        ({"request": "visit#1"}, False),
        ({"subject": "cd" * 32}, True),
        ({"subject": "ce" * 32}, False),
        ({"beforeUnixMs": 1001}, True),
        ({"beforeUnixMs": 1000}, False),
    ],
    ids=str,
)
def test_what_an_erasure_means(spec: dict[str, Any], means: bool) -> None:
    rules = erasures.Rules([erasures.parse("e1", spec)])
    assert rules.match(FACTS) == ("e1" if means else None)


def test_what_was_stored_before_a_date_was_answered_before_it_whatever_its_nodes_clock_says() -> None:
    rules = erasures.Rules([erasures.parse("e1", {"beforeUnixMs": 3000})])
    ahead = FACTS._replace(answered_unix_ms=9000)
    assert rules.match(ahead) == "e1"
    assert rules.match(ahead._replace(stored_unix_ms=0)) is None


@pytest.mark.parametrize(
    "spec",
    [{}, {"node": "a", "request": "b"}, {"node": "A b"}, {"subject": "Jane"}, {"example": "ab"}, {"beforeUnixMs": 0}],
    ids=str,
)
def test_what_means_nothing_or_two_things_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError):
        erasures.parse("e1", spec)


def test_as_many_stand_as_nodes_can_be_told_of() -> None:
    many = [erasures.Erasure(f"e{n}", erasures.REQUEST, str(n)) for n in range(erasures.MAX_ERASURES)]
    with pytest.raises(errors.RejectedError, match="skerry erase end"):
        erasures.check_new(erasures.Erasure("x", erasures.REQUEST, "x"), many)


def test_rows_and_progress_come_back_as_they_were_written_and_damage_is_told() -> None:
    rows = [erasure_progress.Row("ab" * 32, "cd" * 32), erasure_progress.Row("01" * 32, "23" * 32)]
    assert erasure_progress.unpack_rows(erasure_progress.pack_rows(rows), "x") == rows
    with pytest.raises(errors.IntegrityError):
        erasure_progress.unpack_rows(b"short", "x")
    told = erasure_progress.Progress("u", erasure_progress.DONE, 3, 1, {("digits", "sha256:x"): 2}, {"a": "why"})
    assert erasure_progress.from_json(told.to_json(), "x") == told
    for damaged in (b"", b"[]", b"{}", b'{"uid": "u", "state": "Odd"}'):
        with pytest.raises(errors.IntegrityError):
            erasure_progress.from_json(damaged, "x")


def test_a_moment_is_read_in_one_way_or_refused() -> None:
    assert moments.parse("1970-01-02", "--before") == (86_400_000, False)
    assert moments.parse("1970-01-02T01:00+01:00", "--before") == (86_400_000, True)
    for text in ("02/01/2018", "yesterday", ""):
        with pytest.raises(errors.InputError, match="one way"):
            moments.parse(text, "--before")
