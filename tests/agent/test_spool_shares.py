"""Where the spool is full the class that takes most makes room; and files of earlier releases, without classes."""

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from skerry.agent.capture import spool, spool_schema
from skerry.core import errors

LIMITS = spool.Limits(max_bytes=100_000, max_rows=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def captured(number: int, group: str, size: int = 100) -> spool.Captured:
    body = f"{number:08d} {group} ".encode().ljust(size, b".")
    return spool.Captured(spool.row(spool.EXAMPLE, body), "digits", f"r{number}", group=group)


def groups(store: spool.Spool) -> Counter[str]:
    return Counter(row.body.split()[1].decode() for row in store.next_batch(10_000, 1 << 30))


def test_a_flood_of_a_common_class_pushes_out_its_own_oldest_and_the_rare_ones_stay(path: Path) -> None:
    store = spool.Spool(path, LIMITS)
    store.append([captured(number, "rare") for number in range(5)])
    for start in range(5, 1005, 50):
        store.append([captured(number, "common") for number in range(start, start + 50)])
    assert groups(store) == {"rare": 5, "common": 95}
    first = store.next_batch(10, 1 << 30)
    assert [row.body.split()[0] for row in first[5:]] == [b"%08d" % number for number in range(910, 915)]
    assert store.counts().dropped == 905


def test_what_counts_is_the_room_that_a_class_takes(path: Path) -> None:
    store = spool.Spool(path, LIMITS)
    store.append([captured(number, "small", 100) for number in range(60)])
    store.append([captured(number, "large", 9_000) for number in range(60, 90)])
    assert groups(store) == {"small": 60, "large": 10}


def test_shares_are_right_after_a_restart_an_upload_and_a_commit_that_failed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = spool.Spool(path, LIMITS)
    store.append([captured(number, "a") for number in range(40)] + [captured(number, "b") for number in range(40, 60)])
    store.settle([row.id for row in store.next_batch(30, 1 << 30)], [])
    with monkeypatch.context() as patched:
        patched.setattr(store, "_remember", lambda requests: (_ for _ in ()).throw(sqlite3.OperationalError("full")))
        with pytest.raises(errors.SkerryError):
            store.append([captured(99, "c")])
    expected = {"a": 1000, "b": 2000}
    assert store._shares.copy() == expected
    store.close()
    assert spool.Spool(path, LIMITS)._shares.copy() == expected


def test_a_file_of_the_release_before_is_read_and_its_rows_make_room_like_a_class(path: Path) -> None:
    with sqlite3.connect(path) as db:
        for statement in spool_schema.TABLES_BEFORE[0]:
            db.execute(statement)
        for number in range(80):
            row = captured(number, "old").row
            values = (row.id, row.kind, row.example_id, row.body)
            db.execute("INSERT INTO records (id, kind, example_id, body) VALUES (?, ?, ?, ?)", values)
    store = spool.Spool(path, LIMITS)
    assert store.counts().pending == 80
    store.append([captured(number, "new") for number in range(80, 120)])
    assert groups(store) == {"old": 60, "new": 40}
