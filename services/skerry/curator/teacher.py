"""Asking the large model for labels: captured rows in, logits or probabilities out, over the Open Inference Protocol.

The teacher is any OIP v2 server that has a model of the same name, takes the inputs as the edge's callers sent them,
and answers with a floating output [rows, classes].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.telemetry.metrics import Histogram
from skerry.core import errors, teacher_terms, tensors
from skerry.core.inference import InferReply, InferRequest
from skerry.curator.label_task import LabelTask


@dataclass(frozen=True, slots=True)
class Answer:
    """`outputs` [rows, classes], logits or probabilities; `by` names the teacher that answered, for people."""

    outputs: NDArray[np.float64]
    by: str


class TeacherError(errors.UnavailableError):
    """The teacher is away, or what it answers is no label: later it may do better."""


class NoTeacherError(TeacherError):
    """The server has no model of this name: nobody teaches it yet."""


class Teacher(Protocol):
    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        """The answers to rows[n, *shape]. Raises InputError (these rows are refused), TeacherError, NoTeacherError."""
        ...


class RemoteTeacher:
    """A teacher over the network; every question ends after `timeout_s`."""

    def __init__(self, remote: RemoteModel, timeout_s: float) -> None:
        self._remote, self._timeout_s = remote, timeout_s

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        question = tensors.Tensor(task.input.name, task.input.datatype, rows.shape, rows)
        try:
            reply = await self._remote.infer(InferRequest(task.model, (question,)), self._timeout_s)
        except (errors.NotFoundError, errors.UnsupportedError) as exc:
            raise NoTeacherError(f"the teacher has no model {task.model}: {exc}") from exc
        except errors.InputError:
            raise
        except errors.SkerryError as exc:
            raise TeacherError(str(exc)) from exc
        if fault := teacher_terms.fault(task.answers, reply.parameters):
            raise TeacherError(f"the teacher of {task.model} cannot label: {fault}")
        version = f" {reply.version}" if reply.version else ""
        return Answer(_outputs(reply, task, len(rows)), f"teacher {task.model}{version}")


class TimedTeacher:
    """Measures how long each answer took; what a teacher fails with is not counted here."""

    def __init__(self, teacher: Teacher, answer_s: Histogram, monotonic: Callable[[], float]) -> None:
        self._teacher, self._answer_s, self._monotonic = teacher, answer_s, monotonic

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        began_s = self._monotonic()
        answer = await self._teacher.ask(task, rows)
        self._answer_s.observe((task.model,), self._monotonic() - began_s)
        return answer


def _outputs(reply: InferReply, task: LabelTask, rows: int) -> NDArray[np.float64]:
    """The first floating output that has one number per row and class. Raises TeacherError when there is none."""
    wanted = (rows, task.classes)
    for output in reply.outputs:
        if output.datatype in tensors.FLOATING and output.shape == wanted:
            return np.asarray(output.data, dtype=np.float64)
    given = ", ".join(f"{output.name} {output.datatype} {list(output.shape)}" for output in reply.outputs) or "nothing"
    raise TeacherError(
        f"the teacher's model {task.model} answers {given}, not floating numbers {list(wanted)}: "
        "give it the classes of the EdgeModel"
    )
