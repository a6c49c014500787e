"""What a label took the place of stays in it: the teacher's opinion below a truth, and truths that were corrected."""

import numpy as np

from skerry.core.tasks import Classification
from skerry.curator import labels

TASK = Classification(("zero", "one", "two"))


def corrected(truths: list[int]) -> labels.Label:
    label = labels.of_teacher(np.array([0.0, 0.0, 1.0]), "teacher digits 1", 1000, TASK.digest)
    for at, truth in enumerate(truths):
        label = labels.with_truth(label, truth, f"node n{at}", 2000 + at, TASK.digest) or label
    return label


def test_a_corrected_truth_is_kept_with_who_and_when_and_survives_storage() -> None:
    label = corrected([0, 1])
    assert [(one.label, one.by, one.at_unix_ms) for one in label.corrected] == [(0, "node n0", 2000)]
    assert label.superseded is not None and label.superseded.by == "teacher digits 1"
    assert labels.from_json(label.to_json(), TASK, "label") == label


def test_the_same_truth_again_corrects_nothing() -> None:
    assert corrected([1, 1]).corrected == ()


def test_the_newest_corrections_are_kept_and_no_more() -> None:
    label = corrected([at % 2 for at in range(30)])
    kept = [one.at_unix_ms for one in label.corrected]
    assert kept == sorted(kept, reverse=True) and len(kept) == labels.MAX_CORRECTED and kept[0] == 2028
    assert labels.from_json(label.to_json(), TASK, "label") == label
