"""One captured request, read with distrust: bytes in, a row that a teacher and a dataset can take, or why it is none.

Nothing is repaired. What is refused here stays in object storage and is counted by its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from skerry.core import datasets, digests, series_stamp
from skerry.core.class_maps import GONE
from skerry.core.tasks import Truth
from skerry.curator.label_task import LabelTask
from skerry.proto import fleet_pb2

CLASS_REMOVED = "classRemoved"  # its truth or label is a class that the model has no more


@dataclass(frozen=True, slots=True)
class Captured:
    """`row` [*shape] as the caller sent it, but for what was redacted; empty without `has_row`, where privacy keeps
    none: then only its truth says anything. `answer`: the numbers that the edge answered, None if nothing sane.
    `series` and `series_unix_ms` are the row's own, which its caller named; of a forecast both are known."""

    id: str
    row: NDArray[Any]
    input_digest: str
    exploration: bool
    node: str
    version_digest: str
    answer: tuple[float, ...] | None
    answered_unix_ms: int
    series: str = ""
    series_unix_ms: int = 0
    has_row: bool = True
    request_id: str = ""
    subject: str = ""

    @property
    def name(self) -> str:
        """The id's 64 hex digits."""
        return digests.hex_of(self.id)


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is a word for counting, `message` is for people."""

    reason: str
    message: str


def read(data: bytes, example_id: str, task: LabelTask) -> Captured | Refused:
    """The example with this id, checked against its digest and the model's input."""
    if digests.sha256(data) != example_id:
        return Refused("damaged", f"example {example_id} does not have its digest: the blob is damaged")
    try:
        example = fleet_pb2.Example.FromString(data)
    except DecodeError as exc:
        return Refused("malformed", f"example {example_id} is not an Example: {exc}")
    if example.model != task.model:
        return Refused("otherModel", f"example {example_id} is of model {example.model!r:.80}, not {task.model}")
    row = _row(example, task.input) if example.inputs else np.empty(0, dtype=task.input.dtype)
    if isinstance(row, str):
        return Refused("wrongInput", f"example {example_id} of {task.model}: {row}")
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        return Refused("notFinite", f"example {example_id} of {task.model} holds a number that is not finite")
    if task.answers.waits_for_truth and not (example.series and example.series_unix_ms):
        text = f"names no {series_stamp.SERIES} and {series_stamp.TIME}: nothing says what may be held out beside it"
        return Refused("noSeries", f"example {example_id} of {task.model} {text}")
    return Captured(
        example_id,
        row,
        _identity(row, example, task) if example.inputs else "",
        example.kind == fleet_pb2.EXPLORATION,
        example.node,
        example.digest,
        _answer(example, task),
        example.answered_unix_ms,
        example.series,
        example.series_unix_ms,
        bool(example.inputs),
        example.request_id,
        example.subject,
    )


def _identity(row: NDArray[Any], example: fleet_pb2.Example, task: LabelTask) -> str:
    """64 hex digits: examples of one identity are one row. Of classes the input alone: the same picture is the same
    class. Of a forecast the same window may be followed by anything, elsewhere and at another time."""
    digest = datasets.input_digest(row)
    if not task.answers.waits_for_truth:
        return digest
    place = f"{digest}\0{example.node}\0{example.series}\0{example.series_unix_ms}"
    return digests.hex_of(digests.sha256(place.encode()))


def _row(example: fleet_pb2.Example, wanted: datasets.Input) -> NDArray[Any] | str:
    """The one input as an array without a batch axis, or what is wrong with it."""
    if len(example.inputs) != 1:
        return f"{len(example.inputs)} inputs, the model has one"
    (tensor,) = example.inputs
    shape = tuple(tensor.shape)
    if tensor.name != wanted.name or tensor.datatype != wanted.datatype:
        return f"input {tensor.name!r:.80} {tensor.datatype!r:.20} is not {wanted.name!r} {wanted.datatype}"
    if shape not in (wanted.shape, (1, *wanted.shape)):
        return f"input of shape {list(shape)[:9]} is not one row of {list(wanted.shape)}"
    if len(tensor.raw) != wanted.row_bytes:
        return f"input has {len(tensor.raw)} bytes, one row has {wanted.row_bytes}"
    return np.frombuffer(tensor.raw, dtype=wanted.dtype).reshape(wanted.shape)


def _answer(example: fleet_pb2.Example, task: LabelTask) -> tuple[float, ...] | None:
    """What the edge answered, in the terms of now. The version may have been of a shorter or a former label map; an
    agent of an earlier release does not say by which it counts: then it is the one with as many classes as there are
    logits, and none is known where classes were mapped."""
    answer, longest = tuple(example.local_logits), task.answers.width
    usual = range(len(answer) if task.class_names else longest)
    unsaid = None if task.answers.is_mapped else usual
    meanings = task.answers.meanings(example.label_map) if example.label_map else unsaid
    if meanings is None or not 0 < len(answer) == len(meanings) or not np.isfinite(answer).all():
        return None
    if list(meanings) != list(range(len(answer))):
        return _in_terms_of_now(answer, meanings, longest)
    return answer if len(answer) <= longest else None


def _in_terms_of_now(answer: tuple[float, ...], meanings: Sequence[int], classes: int) -> tuple[float, ...]:
    """[classes + 1], the most sure of what became each class; the last is what was removed, which is no class now."""
    least = min(answer) - 1.0
    now = [least] * (classes + 1)
    for value, index in zip(answer, meanings, strict=True):
        now[index] = max(now[index], value)
    return tuple(now)


def truth_fault(truth: fleet_pb2.Truth, task: LabelTask) -> Refused | None:
    """Why a truth cannot be a label, or None. An agent of an earlier release does not say by which label map it counts:
    then by the model's, if it never had another."""
    if not truth.label_map and task.answers.is_mapped:
        text = f"it does not say by which of its label maps it counts, and {task.model} has had several"
        return Refused("truthOtherLabelMap", text)
    meanings = _meanings(truth, task)
    if meanings is None:
        return Refused("truthOtherLabelMap", f"it counts in {truth.label_map:.80}, as {task.model} never did")
    if task.class_names and not truth.values and not 0 <= truth.label < len(meanings):
        return Refused("truthOutOfRange", f"label {truth.label} is not in 0..{len(meanings) - 1}")
    if task.class_names and not truth.values and meanings[truth.label] == GONE:
        return Refused(CLASS_REMOVED, f"class {truth.label} of label map {truth.label_map:.80} was removed")
    if fault := task.answers.truth_fault(truth_of(truth, task)):
        return Refused("truthOutOfRange", fault)
    return None


def truth_of(truth: fleet_pb2.Truth, task: LabelTask) -> Truth:
    """In the terms of now; of a truth that `truth_fault` finds right."""
    if truth.values or not task.class_names:
        return tuple(truth.values) if truth.values else int(truth.label)
    meanings = _meanings(truth, task)
    return int(truth.label) if meanings is None else meanings[truth.label]


def _meanings(truth: fleet_pb2.Truth, task: LabelTask) -> Sequence[int] | None:
    return task.answers.meanings(truth.label_map or task.label_map)
