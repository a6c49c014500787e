"""The ledger remembers across deaths: every entry that returned is there again, whatever happened to the file's end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.agent.update import ledger
from skerry.core import errors

KEY = ledger.Key("digits", "sha256:" + "a" * 64, "digits-v2-auto", 1)
V1, V2, V3 = (ledger.Pointer(n, f"sha256:{n:064x}") for n in (1, 2, 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger"


def test_everything_is_there_after_a_restart(path: Path) -> None:
    book = ledger.Ledger(path)
    book.refuse(KEY, ledger.Refusal("REFUSED", "the golden set disagrees"))
    book.use_permit(7)
    book.raise_epoch(3)
    book.point("digits", ledger.Pointers(V2, V1))
    book.set_policy("digits", '{"enabled":true}')
    again = ledger.Ledger(path)
    assert again.refusal(KEY) == ledger.Refusal("REFUSED", "the golden set disagrees")
    assert (again.highest_permit, again.epoch) == (7, 3)
    assert again.pointers("digits") == ledger.Pointers(V2, V1)
    assert again.policy("digits") == '{"enabled":true}'


def test_a_refusal_holds_for_its_rollout_and_attempt_only(path: Path) -> None:
    book = ledger.Ledger(path)
    book.refuse(KEY, ledger.Refusal("REFUSED", "bad"))
    assert book.refusal(ledger.Key(KEY.model, KEY.digest, KEY.rollout, 2)) is None
    assert book.refusal(ledger.Key(KEY.model, "sha256:" + "b" * 64, KEY.rollout, 1)) is None


@pytest.mark.parametrize("number", [7, 6, 0, -1])
def test_a_permit_is_good_once_and_older_ones_never(path: Path, number: int) -> None:
    ledger.Ledger(path).use_permit(7)
    with pytest.raises(errors.RejectedError, match="7"):
        ledger.Ledger(path).use_permit(number)


def test_an_older_epoch_is_told_apart(path: Path) -> None:
    book = ledger.Ledger(path)
    assert book.raise_epoch(5) and book.raise_epoch(5)
    assert not ledger.Ledger(path).raise_epoch(4)


def test_tries_are_counted_until_the_version_serves_or_is_refused(path: Path) -> None:
    digest = ledger.Key("digits", V2.digest, "r", 1)
    for expected in (1, 2):
        ledger.Ledger(path).begin(digest)
        assert ledger.Ledger(path).tries(digest) == expected
    ledger.Ledger(path).point("digits", ledger.Pointers(V2, V1))
    assert ledger.Ledger(path).tries(digest) == 0
    book = ledger.Ledger(path)
    book.begin(KEY)
    book.refuse(KEY, ledger.Refusal("SWAP_FAILED", "bad"))
    assert book.tries(KEY) == 0


def test_only_changes_reach_the_disk(path: Path) -> None:
    book = ledger.Ledger(path)
    book.raise_epoch(1)
    book.set_policy("digits", "{}")
    size = path.stat().st_size
    for _ in range(100):
        book.raise_epoch(1)
        book.set_policy("digits", "{}")
    assert path.stat().st_size == size


def _write_all(path: Path) -> list[int]:
    """Permits 1..9; returns the file's size after each."""
    book, sizes = ledger.Ledger(path), []
    for number in range(1, 10):
        book.use_permit(number)
        sizes.append(path.stat().st_size)
    return sizes


def test_a_ledger_cut_at_any_byte_keeps_every_whole_entry_and_takes_new_ones(tmp_path: Path) -> None:
    sizes = _write_all(tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    for cut in range(len(data) + 1):
        path = tmp_path / f"cut{cut}"
        path.write_bytes(data[:cut])
        book = ledger.Ledger(path)
        assert book.highest_permit == sum(size <= cut for size in sizes)
        book.use_permit(50)
        assert ledger.Ledger(path).highest_permit == 50


@given(st.integers(0, 170), st.integers(1, 255))
def test_a_flipped_byte_costs_at_most_its_own_entry(
    tmp_path_factory: pytest.TempPathFactory, offset: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    book = ledger.Ledger(path)
    for number in range(1, 6):
        book.refuse(ledger.Key("m", f"d{number}", "r", number), ledger.Refusal("REFUSED", "x"))
    data = bytearray(path.read_bytes())
    data[offset] ^= flip
    path.write_bytes(data)
    again = ledger.Ledger(path)
    known = [n for n in range(1, 6) if again.refusal(ledger.Key("m", f"d{n}", "r", n))]
    assert len(known) >= 3  # a flipped newline joins two lines
    again.use_permit(9)
    assert ledger.Ledger(path).highest_permit == 9


def test_a_full_disk_takes_no_half_entry(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = ledger.Ledger(path)
    book.use_permit(1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ledger.os, "fsync", full)
        with pytest.raises(errors.UnavailableError, match="No space left"):
            book.use_permit(2)
    assert book.highest_permit == ledger.Ledger(path).highest_permit == 1
    book.use_permit(2)
    assert ledger.Ledger(path).highest_permit == 2


def test_the_file_stays_small_and_the_newest_refusals_stay_known(path: Path) -> None:
    book = ledger.Ledger(path)
    for number in range(700):
        book.refuse(ledger.Key("m", "d", "r", number), ledger.Refusal("REFUSED", "x"))
    again = ledger.Ledger(path)
    assert path.read_bytes().count(b"\n") < 250
    assert again.refusal(ledger.Key("m", "d", "r", 699)) and not again.refusal(ledger.Key("m", "d", "r", 3))
    assert ledger.Ledger(path).refusal(ledger.Key("m", "d", "r", 699))


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        pytest.param(ledger.Pointers(), V1, ledger.Pointers(V1, None), id="the first version has nothing behind it"),
        pytest.param(ledger.Pointers(V1), V2, ledger.Pointers(V2, V1), id="the old one is kept as the last known good"),
        pytest.param(ledger.Pointers(V2, V1), V1, ledger.Pointers(V1, V2), id="going back keeps the other way open"),
        pytest.param(ledger.Pointers(V2, V1), V2, ledger.Pointers(V2, V1), id="activating the active one is nothing"),
        pytest.param(ledger.Pointers(V2, V1), V3, ledger.Pointers(V3, V2), id="the oldest is let go"),
    ],
)
def test_activated(before: ledger.Pointers, new: ledger.Pointer, after: ledger.Pointers) -> None:
    assert before.activated(new) == after
