"""Which rows go to every node with a version: real ones only where they may leave. The self-test takes either."""

from dataclasses import replace

import numpy as np
import pytest
from training_runs import play, proposal, shipped
from training_world import INPUT, MODEL, NAMES, TASK, World, rows, spec, windows

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.core import datasets, specs
from skerry.core.privacy import Keep, Leave, Privacy
from skerry.nets.worker_group import SINGLE
from skerry.serving import selftest
from skerry.trainer import data, golden

PRIVATE = Privacy(Keep.FULL, Leave.TEACHER)


def loaded(may_leave: bool | None = None, *, captured: bool = False) -> data.Loaded:
    world = World()
    parts = [("train", "imported", rows([20] * 3)), ("holdout", "imported", rows([9] * 3, seed=1))]
    parts += [("train", "captured", rows([9] * 3, seed=2))] if captured else []
    made = [dataset_store.write_part(world.blobs, role, origin, one) for role, origin, one in parts]  # type: ignore[arg-type]
    if may_leave is not None:
        made = [replace(part, may_leave=may_leave) for part in made if part.origin == "imported"]
    manifest = datasets.DatasetManifest(MODEL, TASK, INPUT, tuple(made))
    again = datasets.DatasetManifest.from_json(manifest.to_json())
    assert [part.may_leave for part in again.parts] == [part.may_leave for part in made]
    digest = dataset_store.write_manifest(world.blobs, again)
    return data.load(world.blobs, specs.parse_edge_model(MODEL, spec()), digest, SINGLE)


def are_real(x: np.ndarray, found: data.Loaded) -> bool:
    real = {row.tobytes() for part in (*found.train.values(), *found.holdouts.values()) for row in part.x}
    return all(row.tobytes() in real for row in x)


@pytest.mark.parametrize(
    ("held", "may_leave", "captured", "origin"),
    [
        (Privacy(), None, True, "imported"),
        (PRIVATE, None, False, "synthetic"),
        (PRIVATE, None, True, "synthetic"),
        (PRIVATE, False, False, "synthetic"),
        (PRIVATE, True, False, "imported"),
        (Privacy(Keep.NOTHING, Leave.NEVER), True, False, "imported"),
    ],
)
def test_real_rows_are_shipped_only_where_they_may_leave(
    held: Privacy, may_leave: bool | None, captured: bool, origin: str
) -> None:
    found = loaded(may_leave, captured=captured)
    x, said = golden.rows_for(held, found)
    assert said == origin and are_real(x[: golden.ROWS], found) == (origin == "imported")
    assert x.shape[1:] == INPUT.shape and x.dtype == INPUT.dtype


def test_a_captured_part_that_claims_that_it_may_leave_is_refused() -> None:
    found = loaded(captured=True).manifest
    lying = replace(found, parts=tuple(replace(part, may_leave=True) for part in found.parts))
    with pytest.raises(Exception, match="mayLeave is of imported rows"):
        datasets.DatasetManifest.from_json(lying.to_json())


def test_a_private_models_version_passes_its_self_test_and_holds_none_of_its_rows() -> None:
    world = World(privacy={"keep": "Nothing", "leave": "Never"})
    assert play(world, "first", world.standard()).passed
    found, version = proposal(world, "first"), shipped(world, "first").manifest
    assert found["report"]["goldenRows"] == "synthetic"
    packed = blob_store.fetch(world.blobs, version.files["golden"].digest, 1 << 20)
    inputs, _ = selftest.unpack(packed, version)
    real = {row.tobytes() for seed, count in ((0, 60), (1, 40)) for row in windows([count] * len(NAMES), seed)[0]}
    assert len(inputs["window"]) == golden.ROWS
    assert not real & {row.tobytes() for row in inputs["window"]}
