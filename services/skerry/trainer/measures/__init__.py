"""What the trainer does differently for one task than for another, one class a task: the objective of training, and how
answers on a holdout become evidence. Everything else of a run is the same; what the evidence means is decided in core.
"""

from skerry.core.tasks import Classification, Forecast, Task
from skerry.trainer.measures.classification import OfClasses
from skerry.trainer.measures.forecast import OfForecasts
from skerry.trainer.measures.protocol import HoldoutOutputs, Measured, Measures

__all__ = ["HoldoutOutputs", "Measured", "Measures", "of"]


def of(task: Task) -> Measures:
    """The trainer's side of a task."""
    if isinstance(task, Forecast):
        return OfForecasts(task)
    assert isinstance(task, Classification)  # there is no third one yet
    return OfClasses(task)
