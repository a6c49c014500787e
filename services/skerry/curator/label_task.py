"""What the curator needs to know of an EdgeModel: its classes and what a row looks like."""

import math
from dataclasses import dataclass

from skerry.core import datasets, errors, specs
from skerry.core.tasks import Task

HELD_BYTES = 32 << 20  # of rows that are read together


@dataclass(frozen=True, slots=True)
class LabelTask:
    """`input` is one row as callers send it, without a batch axis."""

    model: str
    answers: Task
    input: datasets.Input

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.answers.class_names

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def asks_teacher(self) -> bool:
        """Is a label what a teacher says, until the truth comes? Of a forecast nobody knows it before time does."""
        return not self.answers.waits_for_truth

    def rows_at_once(self, most: int, size_bytes: int = HELD_BYTES) -> int:
        """How many rows are in memory together: at most `most` and so many bytes, and one at least."""
        return max(1, min(most, size_bytes // max(1, self.input.row_bytes)))

    @property
    def label_map(self) -> str:
        """What labels count in: the digest of the class names in their order."""
        return self.answers.digest


def of(model: specs.EdgeModel) -> LabelTask:
    """The task of an EdgeModel. Raises InputError for rows that no dataset can hold."""
    row, kinds = model.input, datasets.DTYPES
    if row.datatype not in kinds:
        raise errors.InputError(
            f"EdgeModel {model.name}: examples of input {row.name} ({row.datatype}) cannot be collected; "
            f"datasets hold {', '.join(kinds)}"
        )
    if math.prod(row.shape) * kinds[row.datatype].itemsize > datasets.MAX_ROW_BYTES:
        raise errors.TooLargeError(f"EdgeModel {model.name}: one row has more than {datasets.MAX_ROW_BYTES} bytes")
    return LabelTask(model.name, model.task, datasets.Input(row.name, row.datatype, row.shape))
