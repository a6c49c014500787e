"""The spool's promises: exact counters under any bound, nothing lost that was committed, and any damage survived."""

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.agent import salvage, spool
from skerry.core import errors

SMALL = spool.Limits(max_bytes=10_000, max_rows=20, max_requests=50, max_record_bytes=2_000)


def captured(number: int, size: int = 100, request_id: str | None = None) -> spool.Captured:
    body = f"example {number:06d} ".encode().ljust(size, b".")
    return spool.Captured(spool.row(spool.EXAMPLE, body), "digits", f"r{number}" if request_id is None else request_id)


def truth_about(example_id: str, label: int = 3) -> spool.Row:
    return spool.row(spool.TRUTH, f"truth {label} of {example_id}".encode(), example_id)


def drain(store: spool.Spool) -> list[spool.Row]:
    rows: list[spool.Row] = []
    for _ in range(1000):
        if not (batch := store.next_batch(64, 3 << 20)):
            return rows
        rows.extend(batch)
        store.settle([row.id for row in batch], [])
    raise AssertionError("the spool never drains")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "spool.db"


def test_rows_come_back_in_order_and_are_forgotten_when_the_cloud_has_them(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(n) for n in range(5)])
    assert [row.body[:14] for row in drain(store)] == [f"example {n:06d}".encode() for n in range(5)]
    assert store.counts() == spool.Counts(pending=0, pending_bytes=0, captured=5, uploaded=5)


def test_everything_survives_a_restart(path: Path) -> None:
    first = spool.Spool(path, SMALL)
    first.append([captured(1), captured(2)])
    first.settle([captured(1).row.id], [])
    first.close()
    again = spool.Spool(path, SMALL)
    assert again.counts() == spool.Counts(pending=1, pending_bytes=100, captured=2, uploaded=1)
    assert again.example_of("digits", "r1") == captured(1).row.id


def test_a_batch_keeps_both_limits_but_holds_at_least_one(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(n, size=500) for n in range(6)])
    assert len(store.next_batch(4, 10_000)) == 4
    assert len(store.next_batch(64, 1_200)) == 2
    assert len(store.next_batch(64, 1)) == 1


def test_three_megabytes_into_one_drop_the_oldest_exactly_and_the_rest_drains_in_order(path: Path) -> None:
    store = spool.Spool(path, spool.Limits(max_bytes=1_000_000, max_rows=10_000))
    for start in range(0, 300, 30):
        store.append([captured(n, size=10_000) for n in range(start, start + 30)])
    counts = store.counts()
    assert (counts.captured, counts.dropped, counts.pending, counts.pending_bytes) == (300, 200, 100, 1_000_000)
    assert [row.id for row in drain(store)] == [captured(n, size=10_000).row.id for n in range(200, 300)]
    store.append([captured(300)])
    assert store.counts().pending == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("capture"), st.integers(1, 2_500)),
            st.tuples(st.just("upload"), st.integers(1, 10)),
            st.tuples(st.just("refuse"), st.integers(1, 3)),
            st.tuples(st.just("truth"), st.integers(0, 40)),
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_books_balance_and_the_bound_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    store = spool.Spool(tmp_path_factory.mktemp("spool") / "spool.db", SMALL)
    kept = truths = 0
    for number, (step, value) in enumerate(steps):
        if step == "capture":
            kept += 1 - store.append([captured(number, size=max(value, 20))])
        elif step == "upload":
            store.settle([row.id for row in store.next_batch(value, 1 << 20)], [])
        elif step == "refuse":
            store.settle([], [row.id for row in store.next_batch(value, 1 << 20)])
        elif (example := store.example_of("digits", f"r{value}")) is not None:
            store.add_truths([truth_about(example)])
            truths += 1
        counts = store.counts()
        assert counts.pending <= SMALL.max_rows
        assert counts.pending_bytes <= SMALL.max_bytes
        assert counts.captured == kept
        gone = counts.dropped + counts.uploaded + counts.refused
        assert kept <= counts.pending + gone <= kept + truths or truths
    about = {row.example_id for row in store.next_batch(1000, 1 << 30) if row.kind == spool.TRUTH}
    before = store.counts()
    store.close()
    again = spool.Spool(store.path, SMALL)
    assert again.counts() == before
    assert about == {row.example_id for row in again.next_batch(1000, 1 << 30) if row.kind == spool.TRUTH}


def test_a_dropped_example_takes_its_truth_along_and_a_kept_one_keeps_it(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(0), captured(1)])
    store.add_truths([truth_about(captured(0).row.id)])
    store.add_truths([truth_about(captured(1).row.id)])
    store.append([captured(n) for n in range(2, 19)])  # 19 examples + 2 truths: one row too many
    truths = [row.example_id for row in store.next_batch(100, 1 << 20) if row.kind == spool.TRUTH]
    assert truths == [captured(1).row.id]
    assert store.counts().dropped == 1
    assert store.example_of("digits", "r0") is None, "a later label would name an example that nobody has"


def test_labels_alone_cannot_overfill_the_spool_and_are_refused_aloud(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    for n in range(20):
        store.add_truths([truth_about(f"sha256:{n:064x}")])
    with pytest.raises(errors.OverloadedError, match="full of labels"):
        store.add_truths([truth_about("sha256:" + "f" * 64)])
    assert store.counts().pending == 20


def test_request_ids_outlive_the_upload_and_are_bounded(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    for n in range(120):
        store.append([captured(n)])
        drain(store)
    assert store.example_of("digits", "r119") == captured(119).row.id
    assert store.example_of("digits", "r69") is None
    assert store.example_of("other", "r119") is None


def test_a_request_id_used_again_means_the_newer_example(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1, request_id="same"), captured(2, request_id="same")])
    assert store.example_of("digits", "same") == captured(2).row.id


def test_an_example_too_large_for_any_upload_is_not_kept_for_ever(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    assert store.append([captured(1, size=2_001), captured(2)]) == 1
    assert store.counts() == spool.Counts(pending=1, pending_bytes=100, captured=1)


def test_a_full_disk_refuses_the_batch_changes_nothing_and_room_brings_it_back(path: Path) -> None:
    store = spool.Spool(path, spool.Limits())
    store.append([captured(0)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages + 1}")  # SQLite's own SQLITE_FULL, as a full disk gives
    before = store.counts()
    with pytest.raises(errors.UnavailableError, match="full"):
        store.append([captured(n, size=2_000) for n in range(1, 30)])
    assert store.counts() == before
    store._db.execute("PRAGMA max_page_count=100000")
    store.append([captured(n, size=2_000) for n in range(1, 30)])
    assert store.counts().pending == 30


def filled(path: Path, rows: int = 40) -> list[str]:
    store = spool.Spool(path, spool.Limits())
    store.append([captured(n, size=700) for n in range(rows)])
    store.close()
    return [captured(n, size=700).row.id for n in range(rows)]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "spool.db"
    filled(path)
    return path


CUTS = [0, 1, 15, 16, 17, 99, 100, 101, 511, 4095, 4096, 4097, 8191, 8192, *range(9_000, 40_000, 1_733)]


@pytest.mark.parametrize("cut", CUTS)
def test_a_spool_cut_at_any_byte_opens_and_holds_only_true_rows(
    tmp_path: Path, original: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(original.read_bytes()[:cut])
    assert cut < original.stat().st_size
    with caplog.at_level(logging.ERROR, logger="skerry"):
        store = salvage.open_spool(path, spool.Limits(), moved_suffix="x")
    assert any(str(path) + ".damaged-x" in str(record.__dict__) for record in caplog.records)
    ids = {row.id for row in drain(store)}
    assert ids <= {captured(n, size=700).row.id for n in range(40)}
    store.append([captured(100)])
    assert store.counts().pending == 1


def test_a_cut_that_leaves_pages_saves_their_rows(tmp_path: Path, original: Path) -> None:
    path = tmp_path / "spool.db"
    data = original.read_bytes()
    path.write_bytes(data[: len(data) - 4096])
    store = salvage.open_spool(path, spool.Limits(), moved_suffix="x")
    assert len(drain(store)) >= 20


@pytest.mark.parametrize("offset", range(0, 36_000, 613))
def test_a_flipped_bit_anywhere_never_uploads_a_wrong_row_and_never_stops_the_spool(
    tmp_path: Path, original: Path, offset: int
) -> None:
    path = tmp_path / "spool.db"
    data = bytearray(original.read_bytes())
    data[offset] ^= 0x20
    path.write_bytes(data)
    store = salvage.open_spool(path, spool.Limits(), moved_suffix="x")
    rows = drain(store)
    assert {row.id for row in rows} <= {captured(n, size=700).row.id for n in range(40)}
    assert all(spool.is_whole(row) for row in rows)
    store.append([captured(100)])
    assert store.counts().pending == 1


def test_a_row_that_its_index_lost_is_damage_and_not_sent_for_ever(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1), captured(2)])
    store._db.execute("PRAGMA writable_schema=ON")
    (root,) = store._db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_records_1'"
    ).fetchone()
    store.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 + 3 : (root - 1) * 4096 + 5] = b"\0\0"  # the index page says that it has no cells
    path.write_bytes(data)
    opened = object.__new__(spool.Spool)
    opened.path, opened._limits, opened._pending, opened._bytes = path, SMALL, 2, 200
    opened._db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(spool.DamagedSpoolError, match="index"):
        opened.settle([captured(1).row.id], [])
    opened.close()
    assert len(drain(salvage.open_spool(path, SMALL, moved_suffix="x"))) == 2


def test_garbage_in_place_of_the_spool_is_moved_aside_and_only_the_newest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    for suffix in ("1", "2"):
        path.write_bytes(b"not a database at all" * 400)
        salvage.open_spool(path, spool.Limits(), moved_suffix=suffix).close()
    assert [p.name for p in sorted(tmp_path.glob("*.damaged-*"))] == ["spool.db.damaged-2"]


def test_rows_committed_before_a_kill_are_there_whatever_is_left_of_the_log(tmp_path: Path) -> None:
    store = spool.Spool(tmp_path / "a" / "spool.db", spool.Limits())
    for n in range(10):
        store.append([captured(n)])
    crashed = tmp_path / "b"
    shutil.copytree(tmp_path / "a", crashed)  # as a killed process leaves it: the log not merged
    wal = (crashed / "spool.db-wal").read_bytes()
    assert len(drain(salvage.open_spool(crashed / "spool.db", spool.Limits(), moved_suffix="x"))) == 10
    for cut in range(0, len(wal), 997):
        torn = tmp_path / f"c{cut}"
        shutil.copytree(tmp_path / "a", torn)
        (torn / "spool.db-wal").write_bytes(wal[:cut])
        found = [row.id for row in drain(salvage.open_spool(torn / "spool.db", spool.Limits(), moved_suffix="x"))]
        assert found == [captured(n).row.id for n in range(len(found))], "a prefix, never a gap"


def test_a_full_disk_while_salvaging_leaves_the_damaged_file_for_the_next_attempt(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(original.read_bytes()[:50_000])

    def full(*_: object) -> None:
        raise errors.UnavailableError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(spool.Spool, "restore", full)
        with pytest.raises(errors.UnavailableError):
            salvage.open_spool(path, spool.Limits(), moved_suffix="x")
    assert path.stat().st_size == 50_000
    assert len(drain(salvage.open_spool(path, spool.Limits(), moved_suffix="y"))) > 0


def test_an_idle_spool_writes_nothing(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1)])
    before = {p: p.stat().st_mtime_ns for p in path.parent.iterdir()}
    for _ in range(50):
        store.counts()
        store.next_batch(64, 1 << 20)
        store.example_of("digits", "r1")
    assert {p: p.stat().st_mtime_ns for p in path.parent.iterdir() if not p.name.endswith("-shm")} == {
        p: t for p, t in before.items() if not p.name.endswith("-shm")
    }


def test_a_commit_reaches_the_disk(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert isinstance(store._db, sqlite3.Connection)
