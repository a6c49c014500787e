"""Custom resources in one SQLite file, shared by processes: write-ahead log, every write synced before it is answered.

The watch costs a `PRAGMA data_version` (no read of the file) per poll; rows are read only when another connection
wrote.
"""

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from skerry.adapters.objects import rules
from skerry.adapters.objects.protocol import Change, Json, Object, Stranger
from skerry.core import errors, writers

_POLL_S = 0.05
_BUSY_S = 10.0
_TOMBSTONES = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, spec TEXT NOT NULL, status TEXT NOT NULL,
    labels TEXT NOT NULL, generation INTEGER NOT NULL, resource_version INTEGER NOT NULL,
    created_unix_ms INTEGER NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS by_version ON objects (resource_version);
CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), resource_version INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""
_COLUMNS = "kind, name, uid, spec, status, labels, generation, resource_version, created_unix_ms, deleted"


class SqliteObjects:
    """One connection per thread. Raises UnavailableError when the file is locked too long or the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path, self._threads = path, threading.local()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as connection:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)

    def get(self, kind: str, name: str) -> Object:
        with self._reading() as connection:
            return _living(connection, kind, name)

    def list(self, kind: str, *, limit: int = 0, label: tuple[str, str] | None = None) -> Sequence[Object]:
        with self._reading() as connection:
            query = f"SELECT {_COLUMNS} FROM objects WHERE kind = ? AND NOT deleted"
            given: list[str | int] = [kind]
            if label is not None:
                query += " AND EXISTS (SELECT 1 FROM json_each(labels) AS one WHERE one.key = ? AND one.value = ?)"
                given += label
            rows = connection.execute(f"{query} ORDER BY name LIMIT ?", [*given, limit or -1])
            return [_change(row).object for row in rows]

    def strangers(self, kind: str, name: str) -> Sequence[Stranger]:
        """Nobody: there is no other way in."""
        return ()

    def create(
        self, kind: str, name: str, spec: Json, *, manager: str, labels: Mapping[str, str] | None = None
    ) -> Object:
        thing = rules.new_object(kind, name, spec, manager, labels, str(uuid.uuid4()), time.time_ns() // 1_000_000)
        with self._transaction() as connection:
            if _exists(connection, kind, name):
                raise errors.ConflictError(f"{kind} {name} exists already")
            return _store(connection, thing, deleted=False)

    def patch(
        self,
        kind: str,
        name: str,
        *,
        manager: str,
        spec: Json | None = None,
        status: Json | None = None,
        resource_version: int | None = None,
    ) -> Object:
        with self._transaction() as connection:
            thing = _living(connection, kind, name)
            changed = rules.patched(thing, manager, spec, status, resource_version)
            return thing if changed is thing else _store(connection, changed, deleted=False)

    def delete(
        self, kind: str, name: str, *, manager: str = writers.OPERATOR, resource_version: int | None = None
    ) -> None:
        with self._transaction() as connection:
            thing = _living(connection, kind, name)
            rules.check_delete(thing, manager, resource_version)
            stored = _store(connection, thing, deleted=True)
            connection.execute(
                "DELETE FROM objects WHERE deleted AND resource_version < ?", (stored.resource_version - _TOMBSTONES,)
            )

    def restore(self, thing: Object) -> None:
        with self._transaction() as connection:
            if thing.kind in rules.APPEND_ONLY and _exists(connection, thing.kind, thing.name):
                return
            _store(connection, rules.restored(thing, str(uuid.uuid4())), deleted=False)

    def changes(self, since: int, *, timeout_s: float, kinds: Sequence[str] = ()) -> tuple[Sequence[Change], int]:
        end = time.monotonic() + timeout_s
        while True:
            seen = self._data_version()  # before the read: what is written after it is noticed
            with self._reading() as connection:
                (latest,) = connection.execute("SELECT resource_version FROM counter").fetchone()
                if latest > since:
                    query = f"SELECT {_COLUMNS} FROM objects WHERE resource_version > ? ORDER BY resource_version"
                    changes = [_change(row) for row in connection.execute(query, (since,))]
                    return [change for change in changes if not kinds or change.object.kind in kinds], latest
            if not self._wait_for_writer(seen, end):
                return [], max(since, latest)

    def _data_version(self) -> int:
        """Changes when another connection has written."""
        (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        return int(version)

    def _wait_for_writer(self, seen: int, end: float) -> bool:
        """Sleep until another connection has written since `seen`, or `end` has come (False)."""
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_S, left))
            if self._data_version() != seen:
                return True
        return False

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._threads.connection = connection
        return connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _our_errors(self._path):
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Read, decide and write under one lock: compare-and-swap across processes."""
        with _our_errors(self._path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise errors.UnavailableError(f"the object store {path} did not answer: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        raise errors.IntegrityError(f"the object store {path} is damaged ({exc}): restore it from a backup") from exc


def _exists(connection: sqlite3.Connection, kind: str, name: str) -> bool:
    query = "SELECT 1 FROM objects WHERE kind = ? AND name = ? AND NOT deleted"
    return connection.execute(query, (kind, name)).fetchone() is not None


def _living(connection: sqlite3.Connection, kind: str, name: str) -> Object:
    query = f"SELECT {_COLUMNS} FROM objects WHERE kind = ? AND name = ? AND NOT deleted"
    row = connection.execute(query, (kind, name)).fetchone()
    if row is None:
        raise errors.NotFoundError(f"there is no {kind} {name}")
    return _change(row).object


def _store(connection: sqlite3.Connection, thing: Object, *, deleted: bool) -> Object:
    (version,) = connection.execute(
        "UPDATE counter SET resource_version = resource_version + 1 RETURNING resource_version"
    ).fetchone()
    stored = replace(thing, resource_version=version)
    texts = (json.dumps(value, separators=(",", ":")) for value in (stored.spec, stored.status, stored.labels))
    values = (stored.kind, stored.name, stored.uid, *texts, stored.generation, version, stored.created_unix_ms, deleted)
    connection.execute(f"INSERT OR REPLACE INTO objects ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", values)
    return stored


def _change(row: tuple[str, str, str, str, str, str, int, int, int, int]) -> Change:
    kind, name, uid, spec, status, labels, generation, version, created, deleted = row
    thing = Object(
        kind, name, uid, json.loads(spec), json.loads(status), json.loads(labels), generation, version, created
    )
    return Change(version, bool(deleted), thing)
