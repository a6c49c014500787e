"""Datasets of forecasts: their columns read back as they were packed, and what cannot be is refused by name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skerry.core import dataset_parts, datasets, errors
from skerry.core.tasks import Classification, Forecast

LOAD = Forecast("load", "kWh", (100, 500, 900), 900, horizon=4, steps=2, naive=(1, 96))
INPUT = datasets.Input("window", "FP32", (8, 2))


def rows(n: int = 5, **changes: Any) -> dataset_parts.Rows:
    columns = {
        "series": np.full(n, b"plant-1", dtype="S120"),
        "time": 1_600_000_000_000 + 900_000 * np.arange(n),
        "naive": np.ones((n, 2, 2), dtype=np.float32),
    }
    x = np.random.default_rng(0).normal(size=(n, 8, 2)).astype(np.float32)
    y = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return replace(dataset_parts.imported(x, y, LOAD, **columns), **changes)


def manifest(**changes: Any) -> datasets.DatasetManifest:
    part = dataset_parts.describe("train", "imported", b"bytes", rows())
    return replace(datasets.DatasetManifest("load", LOAD, INPUT, (part,)), **changes)


def test_a_dataset_of_forecasts_reads_back_as_itself() -> None:
    assert datasets.DatasetManifest.from_json(manifest().to_json()) == manifest()
    given = rows(y=np.float32([[1, 2], [3, 4], [np.nan, np.nan], [7, 8], [9, 10]]))
    data = dataset_parts.pack(given)
    read = dataset_parts.unpack(data, manifest())
    assert dataset_parts.pack(read) == data
    for name, column in dataset_parts.columns(given).items():
        np.testing.assert_array_equal(getattr(read, name), column)
    assert LOAD.has_truth(read.targets).tolist() == [True, True, False, True, True] and read.per_class == ()


def test_a_part_of_classes_has_no_columns_of_forecasts_and_keeps_its_bytes() -> None:
    task = Classification(("a", "b"))
    given = dataset_parts.imported(rows(2).x, np.array([0, 1]), task)
    assert set(dataset_parts.columns(given)) == {"x", "y", "soft", "weight", "id", "node", "label_map"}


def test_parts_follow_one_another_and_rows_are_taken_in_every_column() -> None:
    both = dataset_parts.concatenate([rows(2), rows(3)], INPUT, LOAD)
    ends = dataset_parts.columns(both.take(np.array([True, False, False, False, True])))
    for name, column in dataset_parts.columns(both).items():
        np.testing.assert_array_equal(ends[name], column[[0, 4]])
    assert both.y.shape == (5, 2) and set(ends) == set(dataset_parts.COLUMNS)
    none = dataset_parts.concatenate([], INPUT, LOAD)
    assert none.y.shape == (0, 2) and none.naive is not None and none.naive.shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": np.zeros(5, dtype=np.int64)}, r"y is int64 \[5\], should be float32 \[5, 2\]"),
        ({"y": np.float32([[1, np.nan]] * 5)}, r"y\[0\] must be 2 finite values, or NaN"),
        ({"y": np.float32([[1, np.inf]] * 5)}, r"y\[0\] must be 2 finite values, or NaN"),
        ({"soft": np.full((5, 6), np.inf, dtype=np.float32)}, r"soft\[0\] must be finite"),
        ({"naive": np.full((5, 2, 2), np.inf, dtype=np.float32)}, r"naive\[0\] must be finite"),
        ({"naive": np.ones((5, 1, 2), dtype=np.float32)}, r"naive is float32 \[5, 1, 2\], should be"),
        ({"label_map": np.full(5, "sha256:" + "0" * 64, dtype="S71")}, "not a beginning"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError, match=told):
        dataset_parts.unpack(dataset_parts.pack(rows(**change)), manifest())


def test_a_dataset_in_another_unit_is_none_of_the_models() -> None:
    with pytest.raises(errors.InputError, match="unit 'kWh', that of the model 'MWh'"):
        manifest().grown(replace(LOAD, unit="MWh"))
    with pytest.raises(errors.InputError, match="a forecast of load in kWh"):
        manifest().grown(Classification(("a", "b")))
    assert manifest().grown(replace(LOAD, naive=(4,))).samples("train") == 5
