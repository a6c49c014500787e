"""Which example makes room in a full spool: the oldest of the class that takes most, so that a flood of one class
pushes out its own, and a rare one stays until the cloud has it.

Every example is of one group: its model and the class that the node answered. What an earlier release captured, and
what was saved of a damaged file, is of one group of its own. Part of the spool's transactions, in its thread.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable

UNKNOWN = ""


class Shares:
    """Bytes by group, and the order of age within each."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._bytes: Counter[str] = Counter()

    def load(self) -> None:
        """What was deleted without `remove` (erased) is of no group any more."""
        self._db.execute("DELETE FROM groups WHERE seq NOT IN (SELECT seq FROM records)")
        query = "SELECT name, sum(length(body)) FROM groups JOIN records USING (seq) GROUP BY name"
        self._bytes = Counter({name: int(size) for name, size in self._db.execute(query)})

    def copy(self) -> Counter[str]:
        """To be given to `roll_back` when the transaction fails."""
        return self._bytes.copy()

    def roll_back(self, before: Counter[str]) -> None:
        self._bytes = before

    def add(self, seq: int, group: str, size_bytes: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO groups (seq, name) VALUES (?, ?)", (seq, group))
        self._bytes[group] += size_bytes

    def remove(self, gone: Iterable[tuple[int, int]]) -> None:
        """(seq, size in bytes) of records that were deleted, truths among them."""
        for seq, size_bytes in gone:
            for (group,) in self._db.execute("DELETE FROM groups WHERE seq = ? RETURNING name", (seq,)).fetchall():
                self._bytes[group] -= size_bytes
                if self._bytes[group] <= 0:
                    del self._bytes[group]

    def next_to_go(self) -> str | None:
        """The id of the example that makes room; None: there is none. Of equal groups the first by name."""
        if not self._bytes:
            return None
        largest = min(self._bytes, key=lambda name: (-self._bytes[name], name))
        query = "SELECT id FROM groups JOIN records USING (seq) WHERE name = ? ORDER BY seq LIMIT 1"
        found = self._db.execute(query, (largest,)).fetchone()
        return None if found is None else str(found[0])
