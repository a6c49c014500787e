"""Takes what must not be kept out of a spool's tables, and its bytes out of the file and the write-ahead log."""

import sqlite3

from google.protobuf.message import DecodeError

from skerry.adapters import example_facts
from skerry.core import erasures
from skerry.proto import fleet_pb2

_EXAMPLE = 1


def erase(db: sqlite3.Connection, rules: erasures.Rules, node: str) -> int:
    """Of `node`'s spool, delete the examples that are meant, the truths about them, and the request ids by which they
    could be named; returns how many records that were. Part of the caller's transaction."""
    gone, examples = list[str](), set[str]()
    for row_id, kind, example_id, body in db.execute("SELECT id, kind, example_id, body FROM records ORDER BY seq"):
        if example_id in examples or _is_meant(rules, row_id, kind, body):
            gone.append(row_id)
            if kind == _EXAMPLE:
                examples.add(example_id)
    named = db.execute("SELECT seq, model, request_id, example_id, subject, answered_unix_ms FROM requests")
    requests = [
        seq
        for seq, model, request_id, example_id, subject, at_ms in named
        if example_id in examples or rules.match(erasures.Facts(model, node, example_id, request_id, subject, at_ms))
    ]
    db.executemany("DELETE FROM records WHERE id = ?", [(row_id,) for row_id in gone])
    db.executemany("DELETE FROM requests WHERE seq = ?", [(seq,) for seq in requests])
    return len(gone)


def scrub(db: sqlite3.Connection) -> None:
    """Write over what was deleted: pages that an earlier release freed are given back, and the log is emptied."""
    if db.execute("PRAGMA freelist_count").fetchone()[0]:
        db.execute("VACUUM")
    is_busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise sqlite3.OperationalError("another process reads it: its write-ahead log cannot be emptied")


def _is_meant(rules: erasures.Rules, row_id: str, kind: int, body: bytes) -> bool:
    """What cannot be read is damaged, and is removed when it is met."""
    try:
        if kind == _EXAMPLE:
            return rules.match(example_facts.of(fleet_pb2.Example.FromString(body), row_id)) is not None
        return rules.match(example_facts.of_truth(fleet_pb2.Truth.FromString(body))) is not None
    except (DecodeError, TypeError):
        return False
