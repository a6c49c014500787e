"""Evidence of forecasts: each answer counts once, when its truth comes, as bad when its error is above the bound."""

import curated_forecasts as forecasts
import curating
import manifests
import pytest

from skerry.core import digests
from skerry.core.confidence import Calibration
from skerry.curator import field_bounds
from skerry.proto import fleet_pb2

HOUR = 50  # is answered 1, 1
IMPORTED = digests.sha256(b"an imported version")


@pytest.fixture
def world() -> curating.World:
    return forecasts.world()


def version(world: curating.World, number: int, bound: float, model: str = "load") -> str:
    """A trained version, published."""
    calibration = Calibration(widths=tuple(float(at) for at in range(21)), bound=bound)
    dataset = digests.sha256(bytes([number]))
    made = manifests.digits(model=model, task=forecasts.LOAD, confidence=calibration, dataset=dataset)
    data = made.to_json()
    digest = digests.sha256(data)
    world.blobs.write(digests.blob_path(digest), data)
    spec = {"model": "load", "version": number, "digest": digest, "targetPath": f"retrained/load/{number}"}
    world.objects.create("ModelVersion", f"load-v{number}", spec, manager="controller")
    return digest


def answered(world: curating.World, digest: str, values: list[float], **changes: object) -> bytes:
    """An answer of the version, and its truth."""
    data = forecasts.example(HOUR, digest=digest, **changes)
    world.upload(data, model="load")
    world.upload(forecasts.truth(data, values), kind="truth", about=data, model="load")
    world.work()
    return data


def counted(world: curating.World, digest: str, answered_ms: int = 1_000_000 + HOUR) -> curating.Count:
    [found] = curating.counted(world, "load", digest, "north", answered_ms, forecasts.LOAD)
    return found


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        pytest.param([3.0, 4.0], 0, id="an error of 2 and 3, which is 2.5"),
        pytest.param([3.0, 4.5], 1, id="of 2 and 3.5"),
    ],
)
def test_an_answer_is_bad_when_its_error_is_above_the_bound(
    world: curating.World, values: list[float], bad: int
) -> None:
    digest = version(world, 2, bound=2.5)
    answered(world, digest, values)
    assert counted(world, digest) == (1, bad)


def test_an_answer_counts_once_though_its_truth_is_corrected_and_the_curator_begins_again(
    world: curating.World,
) -> None:
    digest = version(world, 2, bound=2.5)
    data = answered(world, digest, [3.0, 4.0])
    world.upload(forecasts.truth(data, [30.0, 40.0]), kind="truth", about=data, model="load")
    world.work()
    world.restart()
    world.work()
    assert world.labeling.models["load"].captured_rows.rows[0].label.values == (30.0, 40.0)
    assert counted(world, digest) == (1, 0)


def test_a_truth_that_comes_three_weeks_later_still_counts(world: curating.World) -> None:
    digest = version(world, 2, bound=2.5)
    data = forecasts.example(HOUR, digest=digest)
    world.upload(data, model="load")
    world.work()
    world.clock.now_s += 21 * 86_400
    world.upload(forecasts.truth(data, [3.0, 4.0]), kind="truth", about=data, model="load")
    world.work()
    assert counted(world, digest) == (1, 0)


def test_hard_answers_do_not_count(world: curating.World) -> None:
    digest = version(world, 2, bound=2.5)
    answered(world, digest, [3.0, 4.0], kind=fleet_pb2.HARD)
    assert counted(world, digest) == (0, 0)


def test_an_imported_version_is_held_to_the_bound_of_the_newest_trained_one(world: curating.World) -> None:
    spec = {"model": "load", "version": 1, "digest": IMPORTED, "targetPath": "imported/load/1", "source": "Imported"}
    world.objects.create("ModelVersion", "load-v1", spec, manager="controller")
    version(world, 2, bound=2.5)
    version(world, 3, bound=2.4)
    answered(world, IMPORTED, [3.0, 4.0])
    assert counted(world, IMPORTED) == (1, 1)


def test_without_a_bound_nothing_counts_until_one_is_known(world: curating.World) -> None:
    bounds = field_bounds.FieldBounds(world.blobs, world.objects, world.clock)
    answered(world, IMPORTED, [3.0, 4.0])
    assert counted(world, IMPORTED) == (0, 0)
    assert bounds.of("load", IMPORTED) == field_bounds.UNKNOWN
    version(world, 2, bound=2.5)
    assert bounds.of("load", IMPORTED) == field_bounds.UNKNOWN, "it is not asked for with every answer"
    world.clock.now_s += 60
    assert bounds.of("load", IMPORTED) == 2.5


def test_a_manifest_of_another_model_sets_no_bound(world: curating.World) -> None:
    digest = version(world, 2, bound=2.5, model="other")
    answered(world, digest, [3.0, 4.0])
    assert counted(world, digest) == (0, 0)
