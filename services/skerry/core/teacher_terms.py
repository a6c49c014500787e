"""By which label map a teacher counts. Its reply says so, since a number of classes says nothing about their order."""

from collections.abc import Mapping

from skerry.core.inference import Parameter
from skerry.core.tasks import Task

PARAMETER = "skerry_label_map"


def fault(task: Task, told: Mapping[str, Parameter]) -> str:
    """Why answers with these parameters cannot be read as the task's, for people; empty: they can. Other servers say
    nothing; that is enough only while the model never had other classes."""
    given = told.get(PARAMETER, "")
    if given == task.digest or (not given and not task.is_mapped):
        return ""
    if not given:
        return (
            "it does not say by which label map it counts, and the model's classes were mapped: teach it anew "
            f"(`skerry teach`), or let its replies say {PARAMETER} {task.digest}"
        )
    return f"it counts in label map {given!s:.80}, the model in {task.digest}: teach it anew (`skerry teach`)"
