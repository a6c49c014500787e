"""The tables of a spool, and those of earlier releases, which become them: what they captured is not lost."""

import sqlite3

PAGE_BYTES = 4096

_RECORDS = (
    "CREATE TABLE records (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, "
    "example_id TEXT NOT NULL, body BLOB NOT NULL)"
)
_BY_EXAMPLE = "CREATE INDEX records_by_example ON records (example_id)"
_REQUESTS = (
    "CREATE TABLE requests (seq INTEGER PRIMARY KEY, model TEXT NOT NULL, request_id TEXT NOT NULL, "
    "answer TEXT NOT NULL, example_id TEXT NOT NULL, subject TEXT NOT NULL, answered_unix_ms INTEGER NOT NULL, "
    "UNIQUE (model, request_id, answer))"
)
# Of earlier releases, and what stands for the columns that they lack.
_REQUESTS_BEFORE = {
    "CREATE TABLE requests (seq INTEGER PRIMARY KEY, model TEXT NOT NULL, request_id TEXT NOT NULL, "
    "answer TEXT NOT NULL, example_id TEXT NOT NULL, UNIQUE (model, request_id, answer))": "answer",
    "CREATE TABLE requests (seq INTEGER PRIMARY KEY, model TEXT NOT NULL, request_id TEXT NOT NULL, "
    "example_id TEXT NOT NULL, UNIQUE (model, request_id))": "''",
}
_COUNTERS = "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
# Of each example, by its place in `records`: whose share of the room it counts to (`spool_shares`).
_GROUPS = "CREATE TABLE groups (seq INTEGER PRIMARY KEY, name TEXT NOT NULL)"
_BY_GROUP = "CREATE INDEX groups_by_name ON groups (name, seq)"
TABLES = (_RECORDS, _BY_EXAMPLE, _REQUESTS, _COUNTERS, _GROUPS, _BY_GROUP)
TABLES_BEFORE = (
    *((_RECORDS, _BY_EXAMPLE, requests, _COUNTERS) for requests in _REQUESTS_BEFORE),
    (_RECORDS, _BY_EXAMPLE, next(iter(_REQUESTS_BEFORE)), _COUNTERS, _GROUPS, _BY_GROUP),
)


def is_whole_pages(size_bytes: int) -> bool:
    """SQLite writes whole pages, and takes a shorter file for a new one."""
    return size_bytes > 0 and size_bytes % PAGE_BYTES == 0


def prepare(db: sqlite3.Connection) -> bool:
    """Make the tables where there are none, and bring those of earlier releases up to date; False when these are no
    tables of a spool. Part of the caller's transaction."""
    found = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if not found:
        for statement in TABLES:
            db.execute(statement)
    elif (before := next((made for made in TABLES_BEFORE if found == set(made)), None)) is not None:
        answer = _REQUESTS_BEFORE[before[2]]
        rows = db.execute(f"SELECT seq, model, request_id, {answer}, example_id FROM requests").fetchall()
        db.execute("DROP TABLE requests")
        db.execute(_REQUESTS)
        columns = "seq, model, request_id, answer, example_id, subject, answered_unix_ms"
        db.executemany(f"INSERT INTO requests ({columns}) VALUES (?, ?, ?, ?, ?, '', 0)", rows)
        if _GROUPS not in before:
            _add_groups(db)
    else:
        return found == set(TABLES)
    return True


def _add_groups(db: sqlite3.Connection) -> None:
    db.execute(_GROUPS)
    db.execute(_BY_GROUP)
    db.execute("INSERT INTO groups (seq, name) SELECT seq, '' FROM records WHERE kind = 1")
