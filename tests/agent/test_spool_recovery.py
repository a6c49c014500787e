"""Any damage is survived: a cut, a flipped bit, garbage, a lost index, a kill; no wrong row is ever sent."""

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest
from spooled import SMALL, captured, drain

from skerry.agent.capture import spool, spool_damage, spool_recovery, spool_shares
from skerry.core import errors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "spool.db"


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
        store = spool_recovery.open_spool(path, spool.Limits(), moved_suffix="x")
    assert any(str(path) + ".damaged-x" in str(record.__dict__) for record in caplog.records)
    ids = {row.id for row in drain(store)}
    assert ids <= {captured(n, size=700).row.id for n in range(40)}
    store.append([captured(100)])
    assert store.counts().pending == 1


def test_a_cut_that_leaves_pages_saves_their_rows(tmp_path: Path, original: Path) -> None:
    path = tmp_path / "spool.db"
    data = original.read_bytes()
    path.write_bytes(data[: len(data) - 4096])
    store = spool_recovery.open_spool(path, spool.Limits(), moved_suffix="x")
    assert len(drain(store)) >= 20


@pytest.mark.parametrize("offset", range(0, 36_000, 613))
def test_a_flipped_bit_anywhere_never_uploads_a_wrong_row_and_never_stops_the_spool(
    tmp_path: Path, original: Path, offset: int
) -> None:
    path = tmp_path / "spool.db"
    data = bytearray(original.read_bytes())
    data[offset] ^= 0x20
    path.write_bytes(data)
    store = spool_recovery.open_spool(path, spool.Limits(), moved_suffix="x")
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
    opened._shares = spool_shares.Shares(opened._db)
    opened._shares = spool_shares.Shares(opened._db)
    with pytest.raises(spool_damage.DamagedSpoolError, match="index"):
        opened.settle([captured(1).row.id], [])
    opened.close()
    assert len(drain(spool_recovery.open_spool(path, SMALL, moved_suffix="x"))) == 2


def test_garbage_in_place_of_the_spool_is_moved_aside_and_only_the_newest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    for suffix in ("1", "2"):
        path.write_bytes(b"not a database at all" * 400)
        spool_recovery.open_spool(path, spool.Limits(), moved_suffix=suffix).close()
    assert [p.name for p in sorted(tmp_path.glob("*.damaged-*"))] == ["spool.db.damaged-2"]


@pytest.mark.long
def test_rows_committed_before_a_kill_are_there_whatever_is_left_of_the_log(tmp_path: Path) -> None:
    store = spool.Spool(tmp_path / "a" / "spool.db", spool.Limits())
    for n in range(10):
        store.append([captured(n)])
    crashed = tmp_path / "b"
    shutil.copytree(tmp_path / "a", crashed)  # as a killed process leaves it: the log not merged
    wal = (crashed / "spool.db-wal").read_bytes()
    assert len(drain(spool_recovery.open_spool(crashed / "spool.db", spool.Limits(), moved_suffix="x"))) == 10
    for cut in range(0, len(wal), 997):
        torn = tmp_path / f"c{cut}"
        shutil.copytree(tmp_path / "a", torn)
        (torn / "spool.db-wal").write_bytes(wal[:cut])
        found = [
            row.id for row in drain(spool_recovery.open_spool(torn / "spool.db", spool.Limits(), moved_suffix="x"))
        ]
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
            spool_recovery.open_spool(path, spool.Limits(), moved_suffix="x")
    assert path.stat().st_size == 50_000
    assert len(drain(spool_recovery.open_spool(path, spool.Limits(), moved_suffix="y"))) > 0
