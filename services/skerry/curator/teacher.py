"""Asking the large model for labels: captured rows in, logits out, over the Open Inference Protocol.

The teacher is any OIP v2 server that has a model of the same name, takes the inputs as the edge's callers sent them,
and answers with a floating output [rows, classes].
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.curator.tasks import Task


@dataclass(frozen=True, slots=True)
class Answer:
    """`logits` [rows, classes]; `by` names who answered, for people."""

    logits: NDArray[np.float64]
    by: str


class Teacher(Protocol):
    async def ask(self, task: Task, rows: NDArray[Any]) -> Answer:
        """Logits of rows[n, *shape]. Raises InputError (these rows are refused), or UnavailableError (the teacher is
        away, or is not one for this model)."""
        ...
