"""The label of an example (a class, or the values that were forecast), its source, and which source wins: ground truth
over the teacher, whichever came first.

A label is a small JSON blob beside the example; a label that another replaced stays inside it: the teacher's below a
truth as `superseded`, truths that were corrected as `corrected`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.class_maps import GONE
from skerry.core.tasks import Task, Truth
from skerry.core.tasks.classification import NO_CLASS

MAX_LABEL_BYTES = 1 << 20
MAX_CORRECTED = 8  # truths that are kept beside the one that corrected them; older ones go
Source = Literal["Teacher", "GroundTruth", "Operator"]
_RANK: dict[str, int] = {"Teacher": 0, "Operator": 1, "GroundTruth": 2}


class ClassRemovedError(errors.InputError):
    """What was labelled is of a class that the model has no more: it is left out, and nobody is asked again."""


@dataclass(frozen=True, slots=True)
class Label:
    """`label` is a class index, -1 where `values` say what was true, one number per step of a forecast. `soft` are
    probabilities by class, empty when there are none; `by` says who, for people; `label_map` is the digest of what the
    label counts in, empty in labels of a release that did not say. `corrected`: truths that it took the place of,
    newest first."""

    label: int
    soft: tuple[float, ...]
    source: Source
    by: str
    at_unix_ms: int
    superseded: "Label | None" = None
    label_map: str = ""
    values: tuple[float, ...] = ()
    corrected: "tuple[Label, ...]" = ()

    @property
    def truth(self) -> Truth:
        return self.values or self.label

    @property
    def first_unix_ms(self) -> int:
        """When the example was labelled first: it does not move when a better label comes, nor when a teacher's opinion
        comes below a truth that was there before."""
        return min(self.at_unix_ms, self.superseded.first_unix_ms) if self.superseded else self.at_unix_ms

    @property
    def of_teacher(self) -> "Label | None":
        """What the teacher says: this label, or one that it replaced; None when it was not asked."""
        if self.source == "Teacher":
            return self
        return self.superseded.of_teacher if self.superseded else None

    @property
    def rank(self) -> int:
        """Higher is believed more."""
        return _RANK[self.source]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The soft label to train on: this one's, else the replaced one's when it names the same class; else none."""
        if self.soft or self.superseded is None:
            return self.soft
        return self.superseded.probabilities if self.superseded.label == self.label else ()

    def to_json(self) -> bytes:
        return json.dumps(self.to_document(), sort_keys=True, separators=(",", ":")).encode()

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "label": self.label,
            "soft": list(self.soft),
            "source": self.source,
            "by": self.by,
            "atUnixMs": self.at_unix_ms,
        }
        if self.label_map:
            document["labelMap"] = self.label_map
        if self.values:
            document["values"] = list(self.values)
        if self.superseded:
            document["superseded"] = self.superseded.to_document()
        if self.corrected:
            document["corrected"] = [label.to_document() for label in self.corrected]
        return document


def from_json(data: bytes, task: Task, what: str) -> Label:
    """As `from_document`, of the blob beside the example."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise errors.IntegrityError(f"{what} is not a label of {task}: {exc!r:.200}") from exc
    return from_document(document, task, what)


def from_document(document: Any, task: Task, what: str) -> Label:
    """Check; a label of a label map that has grown or was mapped since comes in the terms of now. Raises
    ClassRemovedError, and IntegrityError naming `what`: only the curator writes labels."""
    try:
        found = _label(document, task, depth=0) if task.class_names else _values(document, task)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"{what} is not a label of {task}: {exc!r:.200}") from exc
    if found is None:
        raise ClassRemovedError(f"{what} is of a class that was removed from the model")
    return found


def _corrected(document: dict[str, Any], parse: Callable[[dict[str, Any]], Label | None]) -> tuple[Label, ...]:
    parsed = (parse(label) for label in document.get("corrected", [])[:MAX_CORRECTED])
    return tuple(label for label in parsed if label is not None)


def _values(document: dict[str, Any], task: Task) -> Label:
    """The truth of a forecast: no teacher's label lies below it."""
    values, given, source = (
        tuple(float(value) for value in document["values"]),
        document["labelMap"],
        document["source"],
    )
    if task.meanings(given) is None:
        raise ValueError(f"its values are of {given!r:.80}, which the model does not forecast")
    if (fault := task.truth_fault(values)) or source not in _RANK:
        raise ValueError(fault or f"source {source!r:.20}")
    corrected = _corrected(document, lambda label: _values(label | {"corrected": []}, task))
    return Label(
        NO_CLASS, (), source, str(document["by"]), int(document["atUnixMs"]), None, str(given), values, corrected
    )


def _label(document: dict[str, Any], task: Task, depth: int) -> Label | None:
    """None: of a class that was removed."""
    given, class_names = document.get("labelMap", ""), task.class_names
    # What names no map is of a release that knew no other than the first.
    meanings = task.meanings(given or task.oldest_digest)
    if meanings is None:
        raise ValueError(f"it was given by label map {given!r:.80}, which the model no longer has")
    classes = len(meanings)
    label, soft, source = (
        document["label"],
        tuple(float(probability) for probability in document["soft"]),
        document["source"],
    )
    if type(label) is not int or not 0 <= label < classes or source not in _RANK or depth > len(_RANK):
        raise ValueError(f"label {label!r:.20} from {source!r:.20}")
    expected = (classes,) if given else range(1, classes + 1)
    if soft and (
        len(soft) not in expected or not np.isfinite(soft).all() or abs(sum(soft) - 1.0) > 1e-3 or min(soft) < 0
    ):
        raise ValueError("soft must be empty or one probability per class")
    before = document.get("superseded")
    superseded = _label(before, task, depth + 1) if before is not None else None
    corrected = _corrected(document, lambda label: _label(label | {"corrected": []}, task, depth + 1))
    by, at_unix_ms = str(document["by"]), int(document["atUnixMs"])
    if list(meanings) != list(range(classes)):
        if (label := meanings[label]) == GONE:
            return None
        soft, given = _soft_of_now(soft, meanings, len(class_names)), task.digest
    soft += (0.0,) * (len(class_names) - len(soft)) if soft else ()
    return Label(label, soft, source, by, at_unix_ms, superseded, str(given), corrected=corrected)


def _soft_of_now(soft: tuple[float, ...], meanings: Sequence[int], classes: int) -> tuple[float, ...]:
    """What became one class adds up; the others share the part of what was removed. Empty where nothing is left."""
    now = [0.0] * classes
    for probability, index in zip(soft, meanings, strict=False):
        if index != GONE:
            now[index] += probability
    whole = sum(now)
    return tuple(probability / whole for probability in now) if whole > 0 else ()


def of_teacher(probabilities: NDArray[np.float64], by: str, at_unix_ms: int, labelled_by: str) -> Label:
    """What the teacher says of one example: probabilities[classes], finite, adding up to 1. `labelled_by`: the
    digest of the label map."""
    soft = tuple(float(f"{probability:.7g}") for probability in probabilities)
    return Label(int(probabilities.argmax()), soft, "Teacher", by, at_unix_ms, label_map=labelled_by)


def with_truth(before: Label | None, truth: Truth, by: str, at_unix_ms: int, labelled_by: str) -> Label | None:
    """The label after ground truth came, or None when it says nothing new. A correction replaces the truth before it,
    is kept as corrected, and what lies below it stays."""
    corrected: tuple[Label, ...] = ()
    if before is not None and before.source == "GroundTruth":
        if before.truth == truth:
            return None
        corrected = (replace(before, superseded=None, corrected=()), *before.corrected)[:MAX_CORRECTED]
        before = before.superseded
    if isinstance(truth, int):
        return Label(truth, (), "GroundTruth", by, at_unix_ms, before, labelled_by, corrected=corrected)
    return Label(NO_CLASS, (), "GroundTruth", by, at_unix_ms, before, labelled_by, truth, corrected)


def with_teacher(truth: Label, teacher: Label) -> Label:
    """A truth that came first, and what the teacher says of the same example."""
    return truth if truth.of_teacher else replace(truth, superseded=teacher)
