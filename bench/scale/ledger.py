"""What the simulated agents wrote down themselves, and what must hold of it: swaps in flight, permits used once, who
ran which version. Pure.

An entry is one JSON line: `at_s` (monotonic, one machine), `node`, `what`, and what belongs to it. `permit`: a permit
was seen first; `begin` and `end`: of a swap; `up` and `down`: of the stream to a gateway, whose place in the list of
gateways is the `number` of `up`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

PERMIT, BEGIN, END, UP, DOWN = "permit", "begin", "end", "up", "down"


@dataclass(frozen=True, slots=True)
class Entry:
    at_s: float
    node: str
    what: str
    number: int = 0
    digest: str = ""

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        return cls(**json.loads(line))


def read(files: Iterable[Path]) -> Sequence[Entry]:
    """All entries of all agents, in the order of time. A line that is still being written is left out."""
    entries = []
    for file in files:
        text = file.read_text()
        entries += [Entry.from_line(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return sorted(entries, key=lambda entry: entry.at_s)


def most_in_flight(entries: Sequence[Entry]) -> int:
    """The most swaps that ran at one moment."""
    running: set[str] = set()
    most = 0
    for entry in entries:
        if entry.what == BEGIN:
            running.add(entry.node)
        elif entry.what == END:
            running.discard(entry.node)
        most = max(most, len(running))
    return most


def used_twice(entries: Sequence[Entry]) -> Sequence[tuple[str, int]]:
    """The permits (node, number) that began more than one swap."""
    used = Counter((entry.node, entry.number) for entry in entries if entry.what == BEGIN)
    return sorted(permit for permit, times in used.items() if times > 1)


def falling(entries: Sequence[Entry]) -> Sequence[tuple[str, int]]:
    """The permits (node, number) that were used although the node had used a higher one."""
    highest: dict[str, int] = {}
    found = []
    for entry in entries:
        if entry.what == BEGIN:
            if entry.number < highest.get(entry.node, 0):
                found.append((entry.node, entry.number))
            highest[entry.node] = max(entry.number, highest.get(entry.node, 0))
    return found


def ran(entries: Sequence[Entry], digest: str) -> frozenset[str]:
    """The nodes that ever served a version, or began to."""
    return frozenset(entry.node for entry in entries if entry.what in (BEGIN, END) and entry.digest == digest)


def last_permit_after_s(entries: Sequence[Entry], digest: str, since_s: float) -> float:
    """How long after a moment the last permit for a version reached a node; 0: none did."""
    seen = [entry.at_s for entry in entries if entry.what == PERMIT and entry.digest == digest]
    return max((at_s - since_s for at_s in seen if at_s > since_s), default=0.0)


def swaps(entries: Sequence[Entry]) -> int:
    return sum(entry.what == BEGIN for entry in entries)


def all_up_after_s(entries: Sequence[Entry], nodes: int, since_s: float, *, not_on: int | None = None) -> float | None:
    """How long after a moment every node had its stream again; None: not in what was written down. `not_on`: a gateway
    that is gone: a stream to it counts for nothing, for a node writes down late that it lost one."""
    up: set[str] = set()
    for entry in entries:
        if entry.what == UP and entry.number != not_on:
            up.add(entry.node)
        elif entry.what in (UP, DOWN):
            up.discard(entry.node)
        if entry.at_s >= since_s and len(up) == nodes:
            return entry.at_s - since_s
    return None
