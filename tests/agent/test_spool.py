"""The spool's promises: exact counters under any bound, and nothing lost that was committed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooled import SMALL, captured, drain, truth_about

from skerry.agent.capture import spool, spool_schema
from skerry.core import errors


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
            store.append([captured(number, size=max(value, 20))])
            kept += value <= SMALL.max_record_bytes
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


def test_an_id_that_several_requests_had_means_what_their_answers_say_and_is_refused_alone(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1, request_id="same", answer="a"), captured(2, request_id="same", answer="b")])
    assert store.example_of("digits", "same", "a") == captured(1).row.id
    assert store.example_of("digits", "same", "b") == captured(2).row.id
    assert store.example_of("digits", "same", "c") is None
    with pytest.raises(errors.RejectedError, match="several requests to 'digits' had the id 'same'"):
        store.example_of("digits", "same")


def test_the_latest_truth_of_an_example_replaces_those_not_sent_yet(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1)])
    for label in range(100):
        store.add_truths([truth_about(captured(1).row.id, label)])
    assert [row for row in drain(store) if row.kind == spool.TRUTH] == [truth_about(captured(1).row.id, 99)]
    assert store.counts().captured == 1


@pytest.mark.parametrize("before", spool_schema.TABLES_BEFORE, ids=["with answers", "without answers", "with groups"])
def test_a_spool_of_an_earlier_release_goes_on_with_all_that_it_holds(path: Path, before: tuple[str, ...]) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in before:
            db.execute(statement)
        old = captured(1).row
        db.execute("INSERT INTO records VALUES (7, ?, ?, ?, ?)", (old.id, old.kind, old.example_id, old.body))
        db.execute(
            "INSERT INTO requests (seq, model, request_id, example_id) VALUES (3, 'digits', 'r1', ?)"
            if "answer" not in before[2]
            else "INSERT INTO requests VALUES (3, 'digits', 'r1', '', ?)",
            (old.id,),
        )
        db.execute("INSERT INTO counters VALUES ('captured', 12)")
    store = spool.Spool(path, SMALL)
    assert store.example_of("digits", "r1") == old.id
    store.append([captured(2, request_id="r1", answer="a")])
    assert store.example_of("digits", "r1", "a") == captured(2).row.id
    assert (store.counts().captured, store.counts().pending) == (13, 2)
    store.close()
    assert [row.id for row in drain(spool.Spool(path, SMALL))] == [old.id, captured(2).row.id]


def test_an_example_too_large_for_any_upload_is_not_kept_for_ever(path: Path) -> None:
    store = spool.Spool(path, SMALL)
    store.append([captured(1, size=2_001), captured(2)], too_large=3)
    assert store.counts() == spool.Counts(pending=1, pending_bytes=100, captured=1, too_large=4)


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
