"""The plates' split, folds, furnace and recalls; what its rows say and of whom."""

from pathlib import Path

import numpy as np
import pytest

from examples.own import Place
from examples.steel_plates import plates, report
from examples.steel_plates.inspection import Graded
from examples.steel_plates.offline import Validated
from examples.steel_plates.plates import CLASSES, Plates
from skerry.core import errors

COUNTS = (158, 190, 391, 72, 55, 402, 673)
NAMES = [*(f"F{n}" for n in range(25)), *plates.FURNACE]


def some(scale: int = 1) -> Plates:
    y = np.repeat(np.arange(7), [count // scale for count in COUNTS])
    x = np.random.default_rng(0).normal(size=(len(y), 27)).astype(np.float32)
    x[:, 0] = np.arange(len(y))  # each is another
    return Plates(x, y, NAMES)


def test_the_split_gives_every_plate_to_one_part_and_every_part_its_share_of_each_class() -> None:
    parts = plates.split(some())
    assert sorted(np.concatenate([part.x[:, 0] for part in parts.values()])) == list(range(sum(COUNTS)))
    for name, share in plates.SPLIT.items():
        np.testing.assert_allclose(np.bincount(parts[name].y), share * np.array(COUNTS), atol=1)
    again = plates.split(some())
    assert all((again[name].x == part.x).all() for name, part in parts.items()), "the same for every seed"


def test_folds_hold_as_many_of_each_class_and_differ_by_seed() -> None:
    y = some().y
    fold = plates.folds(y, 5, 1)
    for kind in range(7):
        sizes = np.bincount(fold[y == kind], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    assert (fold != plates.folds(y, 5, 2)).any()


def test_the_furnace_shifts_two_columns_and_nothing_else() -> None:
    before = some()
    after = plates.behind_furnace(before)
    np.testing.assert_allclose(after.x[:, 25:] - before.x[:, 25:], 40, atol=1e-4)
    assert (after.x[:, :25] == before.x[:, :25]).all()


def test_recall_is_by_class_and_unknown_where_there_is_none() -> None:
    y = np.array([0, 0, 1, 6])
    told = plates.recalls(np.array([0, 1, 1, 0]), y)
    assert (told[0], told[1], told[6]) == (0.5, 1.0, 0.0)
    assert np.isnan(told[2])


def test_a_table_is_read_as_it_was_written_and_a_plate_with_two_faults_is_refused(tmp_path: Path) -> None:
    head = [*NAMES, *(name if name == "Other_Faults" else f"{name}_Fault" for name in CLASSES)]
    row = [*["1.5"] * 27, "0", "1", "0", "0", "0", "0", "0"]
    path = tmp_path / "plates.csv"
    path.write_text("\n".join(",".join(line) for line in (head, row)))
    read = plates.read(path)
    assert (read.y.tolist(), read.x.shape, list(read.names)) == ([1], (1, 27), NAMES)
    row[27] = "1"
    path.write_text("\n".join(",".join(line) for line in (head, row)))
    with pytest.raises(errors.InputError, match="one fault of seven"):
        plates.read(path)


def graded(asked: Plates, digest: str, answers: np.ndarray) -> list[Graded]:
    return [
        Graded(index, f"q{index}", f"edge-{index % 2 + 1}", digest, int(said), "t")
        for index, said in enumerate(answers[: len(asked)])
    ]


def test_rows_of_replies_name_their_version_and_offline_ones_none(tmp_path: Path) -> None:
    final = some(10)
    right, wrong = final.y, (final.y + 1) % 7
    played = report.Played(
        final=final,
        furnace=plates.behind_furnace(final),
        deployed=graded(final, "sha256:1", right),
        before=graded(final, "sha256:1", wrong),
        after=graded(final, "sha256:2", right),
        after_old=graded(final, "sha256:2", right),
        run="run",
        rollout="rollout",
        offline=[Validated("draws", np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.4]), 3.0, 1941)],
    )
    place = Place({}, {report.TABLE: "abc"}, tmp_path, tmp_path, 0, print)
    made = {row.metric: row for row in report.rows(place, played)}
    assert [made[f"macro_recall_{name}"].value for name in ("deployed", "before", "after")] == [1.0, 0.0, 1.0]
    assert made["macro_recall_after"].version_digest == "sha256:2"
    assert (made["macro_recall_deployed"].run, made["macro_recall_after"].run) == ("", "run")
    assert sum(made["macro_recall_after"].answered_by.values()) == len(final)
    offline = made["offline_worst_class_draws"]
    assert (offline.value, offline.passed, offline.version_digest, offline.answered_by) == (0.4, False, "", {})
    assert offline.note.startswith("offline, 5 folds, 5 networks: no deployed version; worst: Other_Faults")


def test_the_agents_own_counts_are_held_against_ours() -> None:
    played = report.Played(final=some(10), furnace=some(10), replay=[Graded(0, "q", "edge-1", "d", 1, "t")])
    played.told = {("edge-1", "RECORDED"): 1}
    agreed = {'skerry_spool_examples_total{outcome="captured"}': 1.0, 'skerry_feedback_total{outcome="recorded"}': 1.0}
    played.metrics = {"edge-1": agreed}
    assert report.disagreements(played) == []
    played.metrics = {"edge-1": agreed | {'skerry_spool_examples_total{outcome="captured"}': 2.0}}
    assert len(report.disagreements(played)) == 1
