"""The captured rows of one model that a dataset may hold, bounded: one row per distinct input. In memory lies an entry
of each; the rows themselves lie in object storage, and the newest of them here too.

Of equal inputs the best labelled one stays (rank, then the first label, then the id). Beyond the bound the node that
takes most makes room, with the oldest rows of the class that it has most of: a node that floods pushes out its own, in
a fleet of any size, and rare classes stay. The same examples and labels give the same rows in whatever order they came;
where there is no room for all of them, as long as their inputs differ and they are of one size.
"""

import array
import hashlib
import heapq
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from skerry.core import datasets
from skerry.curator import catalogue, examples, labels

_OVERHEAD_BYTES = 700  # of a row's label and names
RECENT_BYTES = 64 << 20  # of rows that are in memory too
_EXPLORATION, _TRUTH, _LEFT_OUT, _OPINION = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Row:
    """`data` is the input as little-endian bytes, empty where it has to be read from storage; `hex` the example's id
    without its prefix, `node` who captured it, `size_bytes` those of the input. `mark` is of all that a part says of
    the row but its `data`; `teachers_mark` with what the teacher says as its label."""

    hex: str
    node: str
    data: bytes
    input_digest: str
    label: labels.Label
    series: str = ""
    series_unix_ms: int = 0
    size_bytes: int = 0
    mark: bytes = b""
    teachers_mark: bytes = b""

    @property
    def order(self) -> tuple[int, int, str]:
        """The least of equal inputs is kept."""
        return (-self.label.rank, self.label.first_unix_ms, self.hex)


def mark_of(name: str, node: str, label: labels.Label) -> bytes:
    """16 bytes that change whenever a part that holds the row has to be packed again."""
    soft = label.probabilities
    text = f"{name} {node} {label.label} {label.source} {label.label_map} {len(soft)}\n"
    floats = array.array("d", (*soft, *label.values)).tobytes()
    return hashlib.blake2b(text.encode() + floats, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Counts:
    """Examples labelled so far: `labeled` = `hard` + `exploration`; `truths` of them by ground truth."""

    labeled: int
    hard: int
    exploration: int
    truths: int


class CapturedRows:
    """`max_bytes` bounds the rows that datasets may hold, `recent_bytes` those of them whose bytes are here. What is
    known of every example beyond them is a few flags."""

    def __init__(self, max_bytes: int, recent_bytes: int = RECENT_BYTES) -> None:
        self._max_bytes, self._recent_bytes = max_bytes, recent_bytes
        self._recent: OrderedDict[str, int] = OrderedDict()  # bytes of rows that are here, by input digest
        self._recent_total = 0
        self._rows: dict[str, Row] = {}
        self._oldest: dict[_Group, list[tuple[int, str, str]]] = defaultdict(list)  # heaps
        self._known: dict[int, int] = {}
        self._bytes: Counter[str] = Counter()  # by node
        self._class_bytes: dict[str, Counter[int]] = defaultdict(Counter)  # of each node
        self._total_bytes = 0
        self._largest: list[tuple[int, str]] = []  # heap of (-bytes, node); what is not in `_bytes` any more is stale
        self._exploration = self._truths = self._left_out = 0
        self.changes = 0

    def knows(self, name: str, *, with_truth: bool = False) -> bool:
        """Is the example here, or was it (and, if asked, by ground truth)?"""
        flags = self._known.get(_key(name))
        return flags is not None and (not with_truth or bool(flags & _TRUTH))

    def lacks_opinion(self, name: str) -> bool:
        """Is the example here with a ground truth that the teacher was not asked about?"""
        flags = self._known.get(_key(name), 0)
        return bool(flags & _TRUTH) and not flags & _OPINION

    def add(self, captured: examples.Captured, label: labels.Label) -> None:
        """Take a labelled example, or its better label."""
        self._add(
            captured.exploration,
            captured.name,
            captured.node,
            captured.row.tobytes(),
            captured.input_digest,
            label,
            captured.series,
            captured.series_unix_ms,
            captured.row.nbytes,
        )

    def restore(self, entry: catalogue.Entry, label: labels.Label) -> None:
        """As `add`, of an example whose row is not read again."""
        self._add(
            entry.exploration,
            entry.hex,
            entry.node,
            b"",
            entry.input,
            label,
            entry.series,
            entry.series_unix_ms,
            entry.size_bytes,
        )

    def lose(self, names: Collection[str]) -> None:
        """Rows whose examples are not in storage any more."""
        for row in [row for row in self._rows.values() if row.hex in names]:
            del self._rows[row.input_digest]
            self._weigh(row, -_size(row))
            self._forget_data(row.input_digest)
            self.changes += 1

    def _add(
        self,
        exploration: bool,
        name: str,
        node: str,
        data: bytes,
        input_digest: str,
        label: labels.Label,
        series: str,
        series_unix_ms: int,
        size_bytes: int,
    ) -> None:
        said = label.of_teacher
        flags = (_EXPLORATION * exploration) | (_OPINION * (said is not None))
        self._flag(name, flags | (_TRUTH * (label.source == "GroundTruth")))
        mark = mark_of(name, node, label)
        teachers = mark if said is None or said is label else mark_of(name, node, said)
        row = Row(name, node, data, input_digest, label, series, series_unix_ms, size_bytes, mark, teachers)
        held = self._rows.get(row.input_digest)
        if held is None or held.hex == row.hex or row.order < held.order:
            self._replace(held, row)
            self._evict()

    @property
    def rows(self) -> Sequence[Row]:
        return list(self._rows.values())

    @property
    def counts(self) -> Counts:
        known = len(self._known)
        return Counts(known, known - self._exploration, self._exploration, self._truths)

    @property
    def left_out(self) -> dict[str, int]:
        """Labelled examples without a row, by reason."""
        duplicates = len(self._known) - len(self._rows) - self._left_out
        tallies = {"duplicate": duplicates, datasets.OVER_BUDGET: self._left_out}
        return {reason: count for reason, count in tallies.items() if count > 0}

    def _replace(self, held: Row | None, row: Row) -> None:
        if held and held.hex == row.hex and not row.data:
            row = replace(row, data=held.data)
        if held and replace(held, data=b"") == replace(row, data=b""):
            return
        self.changes += 1
        self._rows[row.input_digest] = row
        self._remember_data(row)
        if held:
            self._weigh(held, -_size(held))
        self._weigh(row, _size(row))
        heapq.heappush(self._oldest[_group(row)], (row.label.first_unix_ms, row.hex, row.input_digest))

    def _evict(self) -> None:
        while self._total_bytes > self._max_bytes:
            group = self._largest_group()
            first_unix_ms, name, input_digest = heapq.heappop(self._oldest[group])
            row = self._rows.get(input_digest)
            if row is None or row.hex != name or row.label.first_unix_ms != first_unix_ms or _group(row) != group:
                continue  # another row took its place
            del self._rows[input_digest]
            self._weigh(row, -_size(row))
            self._forget_data(input_digest)
            self._flag(name, _LEFT_OUT)

    def _remember_data(self, row: Row) -> None:
        """Rows that came first are not kept here any more when there are too many."""
        self._forget_data(row.input_digest)
        if row.data:
            self._recent[row.input_digest] = len(row.data)
            self._recent_total += len(row.data)
        while self._recent_total > self._recent_bytes:
            input_digest = next(iter(self._recent))
            self._forget_data(input_digest)
            self._rows[input_digest] = replace(self._rows[input_digest], data=b"")

    def _forget_data(self, input_digest: str) -> None:
        self._recent_total -= self._recent.pop(input_digest, 0)

    def _weigh(self, row: Row, more_bytes: int) -> None:
        node, label = group = _group(row)
        self._total_bytes += more_bytes
        self._bytes[node] += more_bytes
        self._class_bytes[node][label] += more_bytes
        if not self._class_bytes[node][label]:
            del self._class_bytes[node][label]
            self._oldest.pop(group, None)
        if not self._bytes[node]:
            del self._bytes[node], self._class_bytes[node]
            return
        heapq.heappush(self._largest, (-self._bytes[node], node))
        if len(self._largest) > 4 * len(self._bytes) + 64:
            self._largest = [(-held_bytes, holder) for holder, held_bytes in self._bytes.items()]
            heapq.heapify(self._largest)

    def _largest_group(self) -> "_Group":
        """The node whose rows take most bytes, and its class that does; of equal ones the first."""
        while -self._largest[0][0] != self._bytes.get(self._largest[0][1]):
            heapq.heappop(self._largest)
        node = self._largest[0][1]
        sizes = self._class_bytes[node]
        return node, min(sizes, key=lambda label: (-sizes[label], label))

    def _flag(self, name: str, flags: int) -> None:
        """Set flags of an example, and keep the counts of each right."""
        key = _key(name)
        before = self._known.get(key, 0)
        new = flags & ~before
        self._exploration += bool(new & _EXPLORATION)
        self._truths += bool(new & _TRUTH)
        self._left_out += bool(new & _LEFT_OUT)
        self._known[key] = before | flags


_Group = tuple[str, int]  # a node's rows of one class


def _group(row: Row) -> _Group:
    return row.node, row.label.label


def _size(row: Row) -> int:
    return (
        (row.size_bytes or len(row.data))
        + 32 * (len(row.label.probabilities) + len(row.label.values))
        + _OVERHEAD_BYTES
    )


def _key(name: str) -> int:
    """64 bits of the id: enough to know an example again, and small."""
    return int(name[:16], 16)
