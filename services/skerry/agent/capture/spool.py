"""The node's durable, bounded store of captured examples and late truths until the cloud has them: one SQLite file.

Every row is named by the sha256 of its bytes, so a damaged row is found whatever damaged it. The bound drops unsent
examples (and their truths), which ones says `spool_shares`, and counts them exactly. Blocking and for one thread only:
batching, thread and failures are `capture_queue`'s; moving a damaged file aside is `spool_recovery`'s.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry.agent.capture import spool_erasing, spool_schema, spool_shares
from skerry.agent.capture.spool_damage import DamagedSpoolError, translated
from skerry.core import contract, erasures, errors

EXAMPLE, TRUTH = 1, 2
COUNTERS = ("captured", "dropped", "uploaded", "refused", "damaged", "held_back", "too_large")
# model, request id, answer, example id, subject, answered_unix_ms (0: an earlier release did not say)
Request = tuple[str, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    max_bytes: int = 64 << 20  # of bodies; the file is somewhat larger
    max_rows: int = 50_000
    max_requests: int = 100_000  # remembered request ids, for truths that come after the upload
    max_record_bytes: int = contract.MAX_EXAMPLE_BYTES  # the cloud takes no larger one


@dataclass(frozen=True, slots=True)
class Row:
    """`body` is a serialized fleet.Example or fleet.Truth, `id` its digest, `example_id` the example that it is or is
    about."""

    id: str
    kind: int
    example_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Captured:
    """A new example, and the request id by which a truth may name it later (empty: none can). `answer` tells it from
    another request that was given the same id. `group`: whose share of the room it counts to."""

    row: Row
    model: str
    request_id: str
    answer: str = ""
    group: str = spool_shares.UNKNOWN
    subject: str = ""
    answered_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """All are exact and survive restarts. `pending` counts rows on disk, `captured` and `dropped` examples, the others
    records: `refused` by the cloud, for ever, `held_back` and deleted, for privacy became stricter. `too_large`:
    examples that were never kept."""

    pending: int = 0
    pending_bytes: int = 0
    captured: int = 0
    dropped: int = 0
    uploaded: int = 0
    refused: int = 0
    damaged: int = 0
    held_back: int = 0
    too_large: int = 0


def row(kind: int, body: bytes, example_id: str = "") -> Row:
    """The row of `body`; an example is about itself."""
    identity = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return Row(identity, kind, example_id or identity, body)


def is_whole(row: Row) -> bool:
    """Does the id name the bytes? (SQLite keeps no types: a damaged row may hold anything.)"""
    return isinstance(row.body, bytes) and row.id == f"sha256:{hashlib.sha256(row.body).hexdigest()}"


class Spool:
    """Raises UnavailableError (disk full, disk error: nothing changed, try again) and DamagedSpoolError."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open or create `path`. Raises DamagedSpoolError when any page, index or table is not as it must be."""
        self.path, self._limits = path, limits
        self._pending = self._bytes = 0
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not spool_schema.is_whole_pages(path.stat().st_size):
                raise DamagedSpoolError(f"the spool {path} was cut off: {path.stat().st_size} bytes are no whole pages")
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._shares = spool_shares.Shares(self._db)
            try:
                self._prepare()
                self._measure()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._db.execute(f"PRAGMA page_size={spool_schema.PAGE_BYTES}")
        self._db.execute("PRAGMA secure_delete=ON")  # what is deleted is written over: it shall be gone
        self._db.execute("PRAGMA journal_mode=WAL")
        # One fsync a commit; commits are grouped, so a busy node makes a few per second and an idle one none.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA journal_size_limit=4194304")
        self._db.execute("PRAGMA cache_size=-512")
        with self._change():
            is_spool = spool_schema.prepare(self._db)
        if not is_spool:
            raise DamagedSpoolError(f"the spool {self.path} does not have the tables of a spool")
        problems = [text for (text,) in self._db.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise DamagedSpoolError(f"the spool {self.path} is damaged: {problems[0]}")

    def _measure(self) -> None:
        totals = self._db.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM records").fetchone()
        self._pending, self._bytes = int(totals[0]), int(totals[1])
        self._shares.load()

    def close(self) -> None:
        self._db.close()

    def append(self, captured: Iterable[Captured], too_large: int = 0) -> None:
        """Store examples in one commit and apply the bound; those that are too large are counted, with `too_large` that
        were so before they came here. One at a time is in memory when `captured` makes them so."""
        most = min(self._limits.max_record_bytes, self._limits.max_bytes)
        with self._change():
            for example in captured:
                if len(example.row.body) > most:
                    too_large += 1
                    continue
                self._insert(example.row, example.group)
                if example.request_id:
                    self._remember([_request(example)])
                self._bump("captured", 1)
            self._bump("too_large", too_large)
            self._bump("dropped", self._apply_bound())

    def example_of(self, model: str, request_id: str, answer: str | None = None) -> str | None:
        """The example captured from a request, or None: not captured, or longer ago than is remembered. Without
        `answer` the name alone must tell: raises RejectedError when several requests had it."""
        query, names = (
            "SELECT DISTINCT example_id FROM requests WHERE model = ? AND request_id = ?",
            [model, request_id],
        )
        if answer is not None:
            query, names = f"{query} AND answer = ?", [*names, answer]
        with translated(self.path):
            found = self._db.execute(f"{query} LIMIT 2", names).fetchall()
        if len(found) > 1:
            raise errors.RejectedError(
                f"several requests to {model!r:.80} had the id {request_id!r:.80}: which one is meant, only the token "
                "says that came with the answer; give each request an id of its own"
            )
        return str(found[0][0]) if found else None

    def add_truths(self, truths: Sequence[Row]) -> None:
        """Store truths in one commit; the latest about an example replaces those not sent yet. Raises OverloadedError,
        and stores none, when truths alone fill the spool."""
        with self._change():
            for truth in truths:
                self._delete_where("example_id = ? AND kind = ? AND id <> ?", truth.example_id, TRUTH, truth.id)
                self._insert(truth)
            self._bump("dropped", self._apply_bound())
            if self._over():
                raise errors.OverloadedError(
                    f"the spool is full of labels that the cloud has not taken yet ({self._pending} rows, "
                    f"{self._bytes} bytes); send this label again later"
                )

    def next_batch(self, max_records: int, max_bytes: int) -> Sequence[Row]:
        """The oldest rows that fit, in order; at least one when there is any. Damaged rows are removed and counted."""
        batch, damaged, size = list[Row](), list[Row](), 0
        with translated(self.path):
            for found in self._db.execute("SELECT id, kind, example_id, body FROM records ORDER BY seq"):
                candidate = Row(*found)
                if not is_whole(candidate):
                    damaged.append(candidate)
                    continue
                size += len(candidate.body)
                if batch and (size > max_bytes or len(batch) == max_records):
                    break
                batch.append(candidate)
        self._remove([one.id for one in damaged], "damaged")
        return batch

    def settle(self, accepted: Sequence[str], refused: Sequence[str], held: Sequence[str] = ()) -> tuple[int, int]:
        """Forget rows that the cloud holds, or will never take; returns how many of each were still here. And `held`:
        those that may not leave any more."""
        self._remove(held, "held_back")
        return self._remove(accepted, "uploaded"), self._remove(refused, "refused")

    def erase(self, rules: erasures.Rules, node: str) -> int:
        """Remove what must not be kept, and its bytes; returns how many records that were."""
        with self._change():
            gone = spool_erasing.erase(self._db, rules, node)
        with translated(self.path):
            self._measure()
            spool_erasing.scrub(self._db)
        return gone

    def counts(self) -> Counts:
        with translated(self.path):
            stored = dict(self._db.execute("SELECT name, value FROM counters"))
        return Counts(self._pending, self._bytes, **{name: int(stored.get(name, 0)) for name in COUNTERS})

    def restore(self, rows: Iterable[Row], requests: Iterable[Request], counters: Mapping[str, int]) -> None:
        """Fill a new spool with what was readable of a damaged one."""
        with self._change():
            for found in rows:
                self._insert(found)
            self._remember(requests)
            for name in COUNTERS:
                self._bump(name, counters.get(name, 0))
            self._bump("dropped", self._apply_bound())

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """All or nothing: one transaction, one fsync."""
        before, shares = (self._pending, self._bytes), self._shares.copy()
        with translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._pending, self._bytes = before
                self._shares.roll_back(shares)
                if self._db.in_transaction:  # SQLite rolls back by itself on some errors
                    self._db.execute("ROLLBACK")
                raise

    def _insert(self, new: Row, group: str = spool_shares.UNKNOWN) -> None:
        values = (new.id, new.kind, new.example_id, new.body)
        query = "INSERT OR IGNORE INTO records (id, kind, example_id, body) VALUES (?, ?, ?, ?) RETURNING seq"
        for (seq,) in self._db.execute(query, values).fetchall():
            self._pending, self._bytes = self._pending + 1, self._bytes + len(new.body)
            if new.kind == EXAMPLE:
                self._shares.add(seq, group, len(new.body))

    def _remember(self, requests: Iterable[Request]) -> None:
        columns = "model, request_id, answer, example_id, subject, answered_unix_ms"
        self._db.executemany(f"INSERT OR REPLACE INTO requests ({columns}) VALUES (?, ?, ?, ?, ?, ?)", requests)
        oldest = "DELETE FROM requests WHERE seq <= (SELECT max(seq) FROM requests) - ?"
        self._db.execute(oldest, (self._limits.max_requests,))

    def _over(self) -> bool:
        return self._pending > self._limits.max_rows or self._bytes > self._limits.max_bytes

    def _apply_bound(self) -> int:
        """Drop examples, each with the truths about it, until the bound holds; returns how many."""
        dropped = 0
        while self._over() and (example_id := self._shares.next_to_go()) is not None:
            self._delete_where("example_id = ?", example_id)
            self._db.execute("DELETE FROM requests WHERE example_id = ?", (example_id,))
            dropped += 1
        return dropped

    def _delete_where(self, condition: str, *values: str | int) -> int:
        gone = self._db.execute(f"DELETE FROM records WHERE {condition} RETURNING seq, length(body)", values).fetchall()
        self._pending, self._bytes = self._pending - len(gone), self._bytes - sum(size for _, size in gone)
        self._shares.remove(gone)
        return len(gone)

    def _remove(self, ids: Sequence[str], counter: str) -> int:
        if not ids:
            return 0
        with self._change():
            left = [row_id for row_id in ids if not self._delete_where("id = ?", row_id)]
            # Rows that only a scan finds: the index is damaged, and they would be sent for ever.
            for row_id in left:
                if self._db.execute("SELECT 1 FROM records NOT INDEXED WHERE id = ?", (row_id,)).fetchone():
                    raise DamagedSpoolError(f"the spool {self.path} is damaged: its index does not know row {row_id}")
            self._bump(counter, len(ids) - len(left))
        return len(ids) - len(left)

    def _bump(self, counter: str, by: int) -> None:
        if by:
            query = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
            self._db.execute(query, (counter, by))


def _request(one: Captured) -> Request:
    return one.model, one.request_id, one.answer, one.row.id, one.subject, one.answered_unix_ms
