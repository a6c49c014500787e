"""Opening a spool whatever state its file is in: a damaged one is moved aside and read as far as it can be.

Rows are believed when their digest names their bytes, so nothing damaged is ever uploaded. The moved file is kept (the
newest one only) for a closer look.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from skerry.adapters.telemetry import logs
from skerry.agent.capture import spool
from skerry.agent.capture.spool_damage import DamagedSpoolError

_MAX_GAPS = 2_000  # unreadable rows in a row before the rest is given up
log = logs.logger("agent.salvage")


def open_spool(path: Path, limits: spool.Limits, *, moved_suffix: str) -> spool.Spool:
    """The spool at `path`; a damaged file is renamed to `<path>.damaged-<moved_suffix>` and what is whole in it saved.

    Raises UnavailableError when the disk refuses (full, read-only): nothing is lost, try again later.
    """
    try:
        return spool.Spool(path, limits)
    except DamagedSpoolError as damage:
        moved = path.with_name(f"{path.name}.damaged-{moved_suffix}")
        _rename(path, moved)
        try:
            fresh = _restored(moved, path, limits)
        except BaseException:
            _remove(path)
            _rename(moved, path)  # the next attempt finds it as it was
            raise
        for older in set(path.parent.glob(f"{path.name}.damaged-*")) - {moved, _beside(moved, "-wal")}:
            older.unlink()
        log.error(
            "spool_damaged",
            message=f"{damage}; it was moved to {moved} and a new spool started with what could be read",
            moved=str(moved),
            salvaged=fresh.counts().pending,
        )
        return fresh


def _restored(moved: Path, path: Path, limits: spool.Limits) -> spool.Spool:
    fresh = spool.Spool(path, limits)
    try:
        with contextlib.closing(sqlite3.connect(moved)) as db:
            # Without this SQLite reads nothing of a file that is shorter than its header says.
            db.execute("PRAGMA writable_schema=ON")
            fresh.restore(_rows(db), _requests(db), _counters(db))
    except BaseException:
        fresh.close()
        raise
    return fresh


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _rename(old: Path, new: Path) -> None:
    """The write-ahead log goes with its file: SQLite would replay it into another one."""
    for ending in ("-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            _beside(old, ending).rename(_beside(new, ending))
    _beside(old, "-shm").unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        _beside(path, ending).unlink(missing_ok=True)


def _rows(db: sqlite3.Connection) -> Iterator[spool.Row]:
    """Row by row in order of age, stepping over what cannot be read."""
    after, gaps = 0, 0
    while gaps < _MAX_GAPS:
        try:
            query = "SELECT seq, id, kind, example_id, body FROM records WHERE seq > ? ORDER BY seq LIMIT 1"
            values = db.execute(query, (after,)).fetchone()
        except sqlite3.Error:
            after, gaps = after + 1, gaps + 1
            continue
        if values is None:
            return
        after, gaps = max(after + 1, int(values[0])), 0
        row = spool.Row(*values[1:])
        if spool.is_whole(row) and row.kind in (spool.EXAMPLE, spool.TRUTH) and isinstance(row.example_id, str):
            yield row


def _requests(db: sqlite3.Connection) -> Iterator[spool.Request]:
    with contextlib.suppress(sqlite3.Error):
        columns = [name for (name,) in db.execute("SELECT name FROM pragma_table_info('requests')")]
        lacking = {"answer": "''", "subject": "''", "answered_unix_ms": "0"}  # in a file of an earlier release
        answer, subject, at = (name if name in columns else none for name, none in lacking.items())
        query = f"SELECT model, request_id, {answer}, example_id, {subject}, {at} FROM requests ORDER BY seq"
        for values in db.execute(query):
            if all(isinstance(text, str) for text in values[:5]) and isinstance(values[5], int):
                yield values


def _counters(db: sqlite3.Connection) -> dict[str, int]:
    counters: dict[str, int] = {}
    with contextlib.suppress(sqlite3.Error):
        for name, value in db.execute("SELECT name, value FROM counters"):
            if name in spool.COUNTERS and isinstance(value, int) and value >= 0:
                counters[name] = value
    return counters
