"""The class of an example, its source, and which source wins: ground truth over the teacher, whichever came first.

A label is a small JSON blob beside the example; a label that another replaced stays inside it.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

MAX_LABEL_BYTES = 1 << 20
Source = Literal["Teacher", "GroundTruth", "Operator"]
_RANK: dict[str, int] = {"Teacher": 0, "Operator": 1, "GroundTruth": 2}


@dataclass(frozen=True, slots=True)
class Label:
    """`soft` are probabilities by class, empty when there are none; `by` says who, for people."""

    label: int
    soft: tuple[float, ...]
    source: Source
    by: str
    at_unix_ms: int
    superseded: "Label | None" = None

    @property
    def first_unix_ms(self) -> int:
        """When the example was labelled first: it does not move when a better label comes."""
        return self.superseded.first_unix_ms if self.superseded else self.at_unix_ms

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
        return json.dumps(self._document(), sort_keys=True, separators=(",", ":")).encode()

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "label": self.label,
            "soft": list(self.soft),
            "source": self.source,
            "by": self.by,
            "atUnixMs": self.at_unix_ms,
        }
        if self.superseded:
            document["superseded"] = self.superseded._document()
        return document


def from_json(data: bytes, classes: int, what: str) -> Label:
    """Parse and check. Raises IntegrityError naming `what`: only the curator writes labels."""
    try:
        document = json.loads(data)
        return _label(document, classes, depth=0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"{what} is not a label of {classes} classes: {exc!r:.200}") from exc


def _label(document: dict[str, Any], classes: int, depth: int) -> Label:
    label, soft, source = (
        document["label"],
        tuple(float(probability) for probability in document["soft"]),
        document["source"],
    )
    if type(label) is not int or not 0 <= label < classes or source not in _RANK or depth > len(_RANK):
        raise ValueError(f"label {label!r:.20} from {source!r:.20}")
    if soft and (len(soft) != classes or not np.isfinite(soft).all() or abs(sum(soft) - 1.0) > 1e-3 or min(soft) < 0):
        raise ValueError("soft must be empty or one probability per class")
    before = document.get("superseded")
    superseded = _label(before, classes, depth + 1) if before is not None else None
    return Label(label, soft, source, str(document["by"]), int(document["atUnixMs"]), superseded)


def of_teacher(probabilities: NDArray[np.float64], by: str, at_unix_ms: int) -> Label:
    """What the teacher says of one example: probabilities[classes], finite, adding up to 1."""
    soft = tuple(float(f"{probability:.7g}") for probability in probabilities)
    return Label(int(probabilities.argmax()), soft, "Teacher", by, at_unix_ms)


def with_truth(before: Label | None, truth: int, by: str, at_unix_ms: int) -> Label | None:
    """The label after ground truth came, or None when it says nothing new. A correction replaces the truth before it,
    and what lies below it stays."""
    if before is None:
        return Label(truth, (), "GroundTruth", by, at_unix_ms)
    if before.source == "GroundTruth":
        if before.label == truth:
            return None
        return Label(truth, (), "GroundTruth", by, at_unix_ms, before.superseded)
    return Label(truth, (), "GroundTruth", by, at_unix_ms, before)
