"""What a run may train on: verified parts, no bad rows, nothing of any holdout, and words when nothing is left."""

from dataclasses import replace

import numpy as np
import pytest
from training_world import MODEL, NAMES, TASK, World, rows

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, dataset_parts, datasets, digests, errors, specs
from skerry.core.tasks import Classification
from skerry.trainer import data


def model(world: World) -> specs.EdgeModel:
    return specs.parse_edge_model(MODEL, world.objects.get("EdgeModel", MODEL).spec)


def load(world: World, digest: str) -> data.Loaded:
    return data.load(world.blobs, model(world), digest)


def test_training_rows_and_holdouts_come_apart_by_origin() -> None:
    world = World()
    loaded = load(world, world.standard())
    assert len(loaded.train["imported"]) == 180 and len(loaded.train["captured"]) == 0
    assert list(loaded.holdouts) == ["imported"] and len(loaded.holdouts["imported"]) == 120
    assert not any(loaded.dropped.values())


def test_rows_that_are_no_numbers_are_dropped_and_counted() -> None:
    world = World()
    bad = rows([60, 60, 60])
    bad.x[[3, 7], 0, 0] = [np.nan, np.inf]
    held = rows([40] * 3, seed=1)
    held.x[5, 1, 1] = np.nan
    loaded = load(world, world.dataset({("train", "imported"): bad, ("holdout", "imported"): held}))
    assert loaded.dropped["non-finite"] == 3
    assert len(loaded.train["imported"]) == 178 and np.isfinite(loaded.holdouts["imported"].x).all()


def test_rows_without_any_label_are_dropped_and_counted() -> None:
    world = World()
    some = rows([60, 60, 60])
    some.y[:5] = -1
    loaded = load(world, world.dataset({("train", "imported"): some}))
    assert loaded.dropped["unlabelled"] == 5 and loaded.holdouts == {}


def test_a_row_of_the_holdout_is_never_trained_on() -> None:
    world = World()
    train, held = rows([60, 60, 60]), rows([40] * 3, seed=1)
    leaking = dataset_parts.concatenate(
        [train, held.take(np.arange(10))], datasets.Input("window", "FP32", (20, 4)), TASK
    )
    loaded = load(world, world.dataset({("train", "imported"): leaking, ("holdout", "imported"): held}))
    assert loaded.dropped["in-holdout"] == 10 and len(loaded.train["imported"]) == 180


def test_a_captured_row_of_the_holdout_rule_is_never_trained_on_whatever_its_part_says() -> None:
    world = World()
    captured = rows([100, 100, 100], seed=3)
    kept_out = sum(datasets.is_holdout(datasets.input_digest(row)) for row in captured.x)
    loaded = load(world, world.dataset({("train", "captured"): captured}))
    assert 30 < kept_out < 100 and loaded.dropped["in-holdout"] == kept_out
    assert len(loaded.train["captured"]) == 300 - kept_out


@pytest.mark.parametrize(
    ("per_class", "word"),
    [
        pytest.param([0, 0, 0], "no training samples", id="no samples"),
        pytest.param([1, 0, 0], "one class only, 'ok'", id="one sample"),
        pytest.param([0, 50, 0], "one class only, 'worn'", id="one class"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_words(per_class: list[int], word: str) -> None:
    world = World()
    with pytest.raises(errors.InputError, match=word):
        load(world, world.dataset({("train", "imported"): rows(per_class)}))


def test_when_every_row_is_bad_the_error_says_what_was_left_out() -> None:
    world = World()
    bad = rows([5, 5, 5])
    bad.x[:] = np.nan
    with pytest.raises(errors.InputError, match=r"15 non-finite rows were left out"):
        load(world, world.dataset({("train", "imported"): bad}))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param(
            {"task": Classification(("ok", "worn", "gone"))},
            "its class 2 is 'gone', that of the model 'broken'",
            id="other classes",
        ),
        pytest.param({"model": "lathe"}, "is of lathe", id="another model's data"),
        pytest.param({"input": datasets.Input("window", "FP32", (4, 20))}, r"\[4, 20\]", id="another shape"),
        pytest.param({"input": datasets.Input("w", "FP32", (20, 4))}, "input is named 'w'", id="another input's name"),
        pytest.param(
            {"task": Classification(("worn", "ok", "broken"))},
            "class 0 is 'worn', that of the model 'ok'",
            id="another order",
        ),
        pytest.param(
            {"task": Classification(("ok", "worn", "broken", "new")), "parts": ()},
            "4 classes, the model has 3",
            id="one more",
        ),
    ],
)
def test_data_of_something_else_is_refused(changes: dict[str, object], word: str) -> None:
    world = World()
    with pytest.raises(errors.InputError, match=word):
        load(world, world.dataset({("train", "imported"): rows([5, 5, 5])}, **changes))


def test_data_of_a_label_map_that_has_grown_since_is_trained_on() -> None:
    world = World(classNames=[*NAMES, "gone"])
    loaded = load(world, world.dataset({("train", "imported"): rows([5, 5, 5])}))
    assert loaded.manifest.task.width == 4 and loaded.train["imported"].soft.shape == (15, 4)


def test_damaged_and_missing_parts_are_told_apart() -> None:
    world = World()
    digest = world.standard()
    part = data.read_manifest(world.blobs, model(world), digest).parts[0]
    world.blobs.write(digests.blob_path(part.digest), b"not what was stored")
    with pytest.raises(errors.IntegrityError, match="digest"):
        load(world, digest)
    world.blobs.delete(digests.blob_path(part.digest))
    with pytest.raises(errors.NotFoundError):
        load(world, digest)


def test_a_manifest_that_lies_about_its_rows_is_damage() -> None:
    world = World()
    one = rows([5, 5, 5])
    described = replace(dataset_parts.describe("train", "imported", dataset_parts.pack(one), one), samples=16)
    digest = world.dataset({("train", "imported"): one}, parts=(described,))
    with pytest.raises(errors.IntegrityError, match="15 rows, its manifest says 16"):
        load(world, digest)


def test_a_dataset_too_large_for_a_run_is_refused_before_it_is_read() -> None:
    world = World()
    huge = datasets.Part("train", "imported", "sha256:" + "00" * 32, 1 << 33, (0, 0, 0))
    with pytest.raises(errors.TooLargeError):
        load(world, world.dataset({}, parts=(huge,)))


def test_an_altered_manifest_is_damage() -> None:
    world = World()
    digest = world.standard()
    path = contract.dataset_path(MODEL, digest)
    altered = MemoryBlobs()
    altered.write(path, world.blobs.read(path, max_bytes=1 << 20).replace(b'"ok"', b'"OK"'))
    with pytest.raises(errors.IntegrityError):
        data.load(altered, model(world), digest)
    assert NAMES[0] == "ok"


def test_a_huge_finite_row_is_left_out_and_counted() -> None:
    world = World()
    poisoned, held = rows([60, 60, 60]), rows([40] * 3, seed=1)
    poisoned.x[4, 2, 1], held.x[9, 0, 0] = 1e30, -1e30
    loaded = load(world, world.dataset({("train", "imported"): poisoned, ("holdout", "imported"): held}))
    assert loaded.dropped["impossible"] == 2
    assert np.abs(loaded.train["imported"].x).max() < 100 and np.abs(loaded.holdouts["imported"].x).max() < 100
