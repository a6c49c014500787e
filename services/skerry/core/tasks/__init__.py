"""What a model answers, one file a task: how wide an answer is, how sure it is, what is lost when it is wrong, which
truths there are, how it is told to people. All else asks a `Task`; another task is another file here.

`core.specs.task` reads one from fields of outside by its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from skerry.core.confidence import Calibration, Outputs
from skerry.core.inference import Parameter
from skerry.core.residuals import Residual
from skerry.core.tasks.classification import Classification
from skerry.core.tasks.columns import ColumnFault
from skerry.core.tasks.forecast import Forecast

__all__ = ["Classification", "ColumnFault", "Forecast", "Task", "Truth"]

# The index of a class, or one number per step of a forecast.
Truth = int | tuple[float, ...]


class Task(Protocol):
    """Outputs are the first output of a network, [n, width] floats. The truth of rows is an array [n, …] as the task's
    datasets hold it: class indices, or numbers [n, steps]."""

    @property
    def name(self) -> str: ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Empty where an answer is no class."""
        ...

    @property
    def width(self) -> int:
        """How many numbers answer one row."""
        ...

    @property
    def coverage(self) -> float:
        """The share of truths that an answer's interval means to cover; 0: there is no interval."""
        ...

    @property
    def digest(self) -> str:
        """What a truth or a label counts in: two tasks with one digest mean the same by the same numbers."""
        ...

    @property
    def horizon_ms(self) -> int:
        """From the time of an answer until its truth is due; 0: it can be told at once."""
        ...

    @property
    def step_ms(self) -> int:
        """Between two answers of one series; 0: answers come at any time."""
        ...

    @property
    def waits_for_truth(self) -> bool:
        """Does only time tell the truth? Then no teacher's opinion is evidence, and every answer is kept for it."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Its fields in manifests and resources, without `task` itself."""
        ...

    def meanings(self, digest: str) -> Sequence[int] | None:
        """What each number of an answer or label of the task with this digest is in this one's, -1 for nothing any
        more; None: it is neither this task, nor one that it grew from or that is mapped to it."""
        ...

    @property
    def is_mapped(self) -> bool:
        """Were its classes once others than a beginning of these?"""
        ...

    @property
    def oldest_digest(self) -> str:
        """The digest of the first task that this one came from; its own where it is the first."""
        ...

    def cannot_read(self, data: "Task") -> str:
        """Why what counts in `data` cannot be read in this task's terms, for people; empty: it can."""
        ...

    def difference(self, version: "Task") -> str:
        """How a version's task departs from this one, for people; empty: clients of one are served by the other."""
        ...

    def change(self, after: "Task") -> str:
        """How a version of `after` would not serve those that one of this task serves, for people; empty: it would."""
        ...

    def confidences(self, outputs: NDArray[Any], calibration: Calibration) -> Sequence[float]:
        """How sure each answer is, in [0, 1]; 0 for one that is not finite."""
        ...

    def calibrate(self, outputs: NDArray[Any], truth: NDArray[Any], rate: float, kind: Outputs | str) -> Calibration:
        """What `confidences` needs, from rows that nothing trained on, and the threshold below which about `rate` of
        such rows lie."""
        ...

    def row_loss(self, outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
        """float64 [n] ≥ 0, by which versions are compared; infinite for an answer that is not finite."""
        ...

    def is_bad(self, outputs: NDArray[Any], truth: NDArray[Any], bound: float) -> NDArray[Any]:
        """bool [n]: is this answer bad in the field? `bound` is the calibration's."""
        ...

    def residual(self, outputs: NDArray[Any], truth: Truth) -> Residual | None:
        """By how much one answer, float32 [width], is off its truth, which can be one; None where that is no finite
        number."""
        ...

    def no_truth(self, rows: int) -> NDArray[Any]:
        """The truth column of rows that have none."""
        ...

    def has_truth(self, truth: NDArray[Any]) -> NDArray[Any]:
        """bool [n]"""
        ...

    def column_fault(self, truth: NDArray[Any], soft: NDArray[Any]) -> ColumnFault | None:
        """The first rows of a dataset's columns that cannot be."""
        ...

    def truth_fault(self, truth: Truth) -> str:
        """Why this cannot be the truth of an answer, for people; empty: it can."""
        ...

    def in_terms_of(self, outputs: NDArray[Any], kind: Outputs | str) -> NDArray[Any]:
        """What a teacher answered, as this model's own outputs."""
        ...

    def truth_text(self, truth: Truth) -> str:
        """A truth that can be, for people."""
        ...

    def quality(self, gates: Mapping[str, Mapping[str, float]]) -> str:
        """How good a version was on its imported holdout, for people, from the numbers of its gates by name; empty: not
        known."""
        ...

    def described(self, outputs: NDArray[Any]) -> dict[str, Any]:
        """Answers [n, width] for people and programs: {rows: [{text, …}], …}."""
        ...

    def told(self, answered: NDArray[Any], local: NDArray[Any]) -> Mapping[str, Parameter]:
        """Parameters of a reply about one row; what is answered [width], and what the edge itself says [width]."""
        ...
