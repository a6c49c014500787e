"""Admitted requests as values: what waits for a run, how large a run may be, and which rows of it are whose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skerry.core.sequences import Ask
from skerry.serving.predictor import Job
from skerry.serving.sequence_states import State


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Bounds of one version's queue and of one run. A request of more rows than a run's runs alone; a run that is
    expected to take longer than `max_inline_s` gets the thread."""

    max_rows: int = 32
    inline_rows: int = 16
    enough_rows: int = 8
    max_queue: int = 1024
    max_queue_bytes: int = 96 << 20
    max_inline_s: float = 0.002


@dataclass(slots=True)
class QueuedRequest:
    """An admitted request: inputs in the manifest's order, checked. Requests of one `shape` may share a run."""

    job: Job
    inputs: Sequence[NDArray[Any]]
    rows: int
    shape: tuple[int, ...]
    size_bytes: int
    queued_s: float
    ask: Ask | None = None
    state: State = ()


@dataclass(frozen=True, slots=True)
class VersionLabel:
    """Who answers: as replies and metrics name it."""

    model: str
    version: str
    digest: str

    @property
    def labels(self) -> tuple[str, str]:
        return self.model, self.version


def most_rows(row_s: float, policy: BatchPolicy) -> int:
    """Rows of the next run of a network that takes `row_s` for one. A quick one gets as many as it answers within
    `max_inline_s` on the loop's thread, up to `inline_rows`: above, they leave the caches and each costs more. One that
    cannot answer `enough_rows` in that time gets `max_rows`, on a thread of its own."""
    inline = int(policy.max_inline_s / row_s) if row_s > 0 else policy.inline_rows
    return min(inline, policy.inline_rows) if inline >= policy.enough_rows else policy.max_rows


def leading(works: Sequence[QueuedRequest], most: int, now: float) -> int:
    """How many of the first works may share a run at once: one shape, up to `most` rows (a larger one alone), no steps
    of sequences, and each is still waited for."""
    shape, rows = works[0].shape, 0
    for count, work in enumerate(works):
        rows += work.rows
        if work.ask is not None or work.shape != shape or (rows > most and count) or work.job.context.is_over(now):
            return count
    return len(works)


def split(batch: list[QueuedRequest], outputs: Sequence[NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """Each request's own rows."""
    parts, start = [], 0
    for work in batch:
        end = start + work.rows
        parts.append([output[start:end] for output in outputs])
        start = end
    return parts
