"""Admitted requests as values: what waits for a run, how large a run may be, and which rows of it are whose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.sequences import Ask
from skerry.serving.predictor import Job
from skerry.serving.sequence_states import State

_MAX_REPLY_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Bounds of one version's queue and of its runs. A request of more than a run's rows or bytes (of inputs; one row
    may have more) runs in pieces. A run that is expected to take longer than `max_inline_s` gets the thread; runs on
    the loop take `max_turn_s` together before it looks at its sockets again. A run on the thread is stopped after
    `max_run_s`, or when nobody waits for it any more."""

    max_rows: int = 32
    max_run_bytes: int = 4 << 20
    inline_rows: int = 16
    enough_rows: int = 8
    max_queue: int = 1024
    max_queue_bytes: int = 96 << 20
    max_inline_s: float = 0.002
    max_turn_s: float = 0.01
    max_run_s: float = 30.0


@dataclass(slots=True, eq=False)
class Whole:
    """A request that runs in pieces: what of its answer is there already. All of its `size_bytes`
    stay in memory until the last piece has run."""

    rows_left: int
    size_bytes: int
    outputs: list[Sequence[NDArray[Any]]]
    is_over: bool = False  # answered, by an error of a piece
    room_bytes: int = _MAX_REPLY_BYTES

    def add(self, outputs: Sequence[NDArray[Any]], rows: int) -> Sequence[NDArray[Any]] | None:
        """The answer of the next piece; gives all outputs when it was the last. Raises TooLargeError when they are more
        than a reply holds."""
        self.room_bytes -= sum(output.nbytes for output in outputs)
        if self.room_bytes < 0:
            raise errors.TooLargeError(
                f"the answer to these rows has more than {_MAX_REPLY_BYTES} bytes: send fewer rows at a time"
            )
        self.outputs.append(outputs)
        self.rows_left -= rows
        if self.rows_left:
            return None
        return [np.concatenate(column) for column in zip(*self.outputs, strict=True)]


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """An admitted request, or a piece of one: inputs in the manifest's order, checked. Requests of one `shape` may
    share a run, unless `is_alone`: it was in a run that was stopped, and may have been what held it."""

    job: Job
    inputs: Sequence[NDArray[Any]]
    rows: int
    shape: tuple[int, ...]
    size_bytes: int
    queued_s: float
    ask: Ask | None = None
    state: State = ()
    caller: str = ""
    whole: Whole | None = None
    is_piece: bool = False  # of what waits still
    is_alone: bool = False

    @property
    def held_bytes(self) -> int:
        """Memory that waits with it: all of the message as long as the last piece does."""
        if self.whole is None:
            return self.size_bytes
        return 0 if self.is_piece else self.whole.size_bytes

    @property
    def row_bytes(self) -> int:
        return self.size_bytes // self.rows

    def is_over(self, now: float) -> bool:
        """Nobody waits for it any more."""
        return (self.whole is not None and self.whole.is_over) or self.job.context.is_over(now)


@dataclass(frozen=True, slots=True)
class Room:
    """What a run still holds."""

    rows: int
    size_bytes: int

    def less(self, work: QueuedRequest) -> "Room":
        return Room(self.rows - work.rows, self.size_bytes - work.size_bytes)


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
    """How many of the first works may share a run at once: one shape, up to `most` rows (none when the first has more:
    it is to be cut), no steps of sequences, and each is still waited for."""
    shape, rows = works[0].shape, 0
    for count, work in enumerate(works):
        rows += work.rows
        if work.ask is not None or work.shape != shape or rows > most or work.job.context.is_over(now):
            return count
    return len(works)


def fits(work: QueuedRequest, room: Room) -> bool:
    """Does it go whole into what others have left of a run?"""
    return work.rows <= room.rows and work.size_bytes <= room.size_bytes


def cut(work: QueuedRequest, room: Room) -> QueuedRequest:
    """What of the work goes into an empty run: all of it, or the piece of its first rows (the work then is the rest);
    one row of any size does."""
    fitting = min(room.rows, room.size_bytes // max(1, work.row_bytes))
    if work.rows <= fitting or work.rows == 1:
        return work
    rows, row_bytes = max(1, fitting), work.row_bytes
    whole = work.whole = work.whole or Whole(work.rows, work.size_bytes, [])
    piece = QueuedRequest(
        work.job,
        [column[:rows] for column in work.inputs],
        rows,
        work.shape,
        rows * row_bytes,
        work.queued_s,
        caller=work.caller,
        whole=whole,
        is_piece=True,
    )
    work.inputs = [column[rows:] for column in work.inputs]
    work.rows -= rows
    work.size_bytes -= piece.size_bytes
    return piece


def split(batch: list[QueuedRequest], outputs: Sequence[NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """Each request's own rows."""
    parts, start = [], 0
    for work in batch:
        end = start + work.rows
        parts.append([output[start:end] for output in outputs])
        start = end
    return parts
