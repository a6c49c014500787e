"""`skerry datasets import`: three kinds of sources become the same dataset; what cannot be learned from is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli_system import StillSystem
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pyarrow import csv, parquet

from skerry.adapters import blobs
from skerry.cli.importing import holdout_split, tables
from skerry.core import contract, dataset_parts, datasets

NAMES = ["ok", "worn", "broken"]


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    still.edge_model()
    return still


def windows(n: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4, 2)).astype(np.float32), np.arange(n) % 3


def test_an_npz_is_split_by_class_and_nothing_is_lost(system: StillSystem, tmp_path: Path) -> None:
    x, y = windows(300)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    told = json.loads(system.good("datasets", "import", tmp_path / "data.npz", "--model", "press", "--json"))
    manifest, rows = system.dataset()
    assert (told["train"], told["holdout"]) == (210, 90)
    assert np.bincount(rows["holdout"].y).tolist() == [30, 30, 30]
    both = np.concatenate([rows["train"].x, rows["holdout"].x])
    assert sorted(both.sum(axis=(1, 2)).tolist()) == sorted(x.sum(axis=(1, 2)).tolist())
    assert manifest.input == datasets.Input("window", "FP32", (4, 2))


def test_a_source_may_say_itself_which_rows_are_holdout(system: StillSystem, tmp_path: Path) -> None:
    x, y = windows(60)
    np.savez(tmp_path / "data.npz", x=x, y=y, holdout=np.arange(60) >= 45)
    system.good("datasets", "import", tmp_path / "data.npz", "--model", "press")
    _, rows = system.dataset()
    assert np.array_equal(rows["holdout"].x, x[45:])
    assert np.array_equal(rows["train"].y, y[:45])


def test_class_names_and_a_foreign_order_of_codes_mean_the_same(system: StillSystem, tmp_path: Path) -> None:
    x, y = windows(90)
    np.savez(tmp_path / "names.npz", x=x, y=np.array(NAMES)[y])
    np.savez(tmp_path / "codes.npz", x=x, y=2 - y)
    system.good("datasets", "import", tmp_path / "names.npz", "--model", "press")
    by_name = system.dataset()[1]["train"]
    system.good("datasets", "import", tmp_path / "codes.npz", "--model", "press", "--labels", "broken,worn,ok")
    assert np.array_equal(system.dataset()[1]["train"].y, by_name.y)


def test_copies_of_a_row_never_sit_on_both_sides(system: StillSystem, tmp_path: Path) -> None:
    x, y = windows(40)
    np.savez(tmp_path / "data.npz", x=np.concatenate([x] * 3), y=np.concatenate([y] * 3))
    system.good("datasets", "import", tmp_path / "data.npz", "--model", "press")
    _, rows = system.dataset()
    train, holdout = ({row.tobytes() for row in rows[role].x} for role in ("train", "holdout"))
    assert holdout
    assert not train & holdout


def table(rows: int) -> Any:
    labels = [NAMES[(row // 50) % 3] for row in range(rows)]
    return pa.table({"a": np.arange(rows) * 1.0, "b": np.arange(rows) * -1.0, "state": labels})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_windows_of_a_table_never_share_a_row_across_the_split(
    system: StillSystem, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"data.{suffix}"
    csv.write_csv(table(3000), path) if suffix == "csv" else parquet.write_table(table(3000), path)
    system.good(
        *("datasets", "import", path, "--model", "press"),
        *("--label-column", "state", "--window", "4", "--stride", "2"),
    )
    _, rows = system.dataset()
    moments = {role: {int(at) for at in rows[role].x[:, :, 0].ravel()} for role in rows}
    assert len(rows["holdout"]) > 100
    assert not moments["train"] & moments["holdout"]
    last = rows["train"].x[:, -1, 0].astype(int)
    assert np.array_equal(rows["train"].y, (last // 50) % 3)


def test_a_folder_of_images_by_class_is_read_as_pixels(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model("cam", input={"name": "image", "datatype": "UINT8", "shape": [3, 6, 5]})
    for index in range(24):
        folder = tmp_path / "images" / NAMES[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 6), (index, 100, 200)).save(folder / f"{index}.png")
    system.good("datasets", "import", tmp_path / "images", "--model", "cam")
    digest = system.objects.get("EdgeModel", "cam").spec["datasetDigest"]
    manifest = datasets.DatasetManifest.from_json(
        system.blobs.read(contract.dataset_path("cam", digest), max_bytes=1 << 20)
    )
    [part] = manifest.select("train")
    rows = dataset_parts.unpack(blobs.fetch(system.blobs, part.digest, 1 << 20), manifest)
    assert rows.x.shape[1:] == (3, 6, 5)
    assert set(rows.x[:, 1].ravel()) == {100}
    assert np.array_equal(rows.x[:, 0, 0, 0] % 3, rows.y)


def _npz(**arrays: Any) -> Callable[[Path], list[str | Path]]:
    def make(folder: Path) -> list[str | Path]:
        np.savez(folder / "data.npz", **arrays)
        return [folder / "data.npz"]

    return make


def _file(name: str, content: bytes, *more: str) -> Callable[[Path], list[str | Path]]:
    def make(folder: Path) -> list[str | Path]:
        (folder / name).write_bytes(content)
        return [folder / name, *more]

    return make


def _cut(folder: Path) -> list[str | Path]:
    x, y = windows(30)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "data.npz").write_bytes((folder / "data.npz").read_bytes()[:-40])
    return [folder / "data.npz"]


X, Y = windows(30)
BAD = X.copy()
BAD[7, 1, 1] = np.inf


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(_npz(x=X, y=Y * 0), "only of class 'ok'", id="one class cannot be learned from"),
        pytest.param(_npz(x=X[:0], y=Y[:0]), "has no samples", id="no samples"),
        pytest.param(_npz(x=BAD, y=Y), "the first is row 7", id="a non-finite number names its row"),
        pytest.param(_npz(x=X[:, :3], y=Y), "a row has shape [3, 2]", id="another shape names both shapes"),
        pytest.param(_npz(x=X, y=Y + 1), "label 3 is not a class in 0..2", id="a label beyond the classes"),
        pytest.param(_npz(x=X, y=np.array(["ok", "worm"])[Y % 2]), "'worm' is no class", id="a misspelt label"),
        pytest.param(_npz(x=X, y=Y[:9]), "same number of rows", id="fewer labels than rows"),
        pytest.param(_npz(x=X), "has no array 'y'", id="no labels at all"),
        pytest.param(_npz(x=X, y=Y * 1.0), "class indices or class names", id="labels that are real numbers"),
        pytest.param(_npz(x=X, y=Y, holdout=Y < 9), "both need some", id="everything held out"),
        pytest.param(_npz(x=X.astype(object), y=Y), "not a readable npz", id="pickled objects are never loaded"),
        pytest.param(_cut, "not a readable npz", id="a file that was cut"),
        pytest.param(_file("data.npz", b""), "not a readable npz", id="an empty file"),
        pytest.param(_file("data.csv", b"a,b\n1,2\n"), "--label-column", id="a table without its label column named"),
        pytest.param(
            _file("data.csv", b"a,b\n1,2\n", "--label-column", "state"), "it has a, b", id="a column that is not there"
        ),
        pytest.param(
            _file("data.csv", b"a,s\nx,ok\n", "--label-column", "s"), "not numbers", id="a feature that is text"
        ),
        pytest.param(
            _file("data.csv", b"a,s\n1,ok\n", "--label-column", "s", "--window", "4"),
            "fewer than one window",
            id="a table shorter than a window",
        ),
        pytest.param(
            _file("data.parquet", b"PAR1 no", "--label-column", "s"), "cannot be read as parquet", id="no parquet file"
        ),
        pytest.param(_file("data.txt", b"hello"), "--format", id="a file of no known kind"),
        pytest.param(lambda folder: [folder / "nothing.npz"], "there is no", id="a file that is not there"),
        pytest.param(_file("a", b"", "--format", "npz", "--holdout", "0"), "npz", id="an empty file by another name"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_and_nothing_is_stored(
    system: StillSystem, tmp_path: Path, make: Callable[[Path], list[str | Path]], said: str
) -> None:
    assert said in system.bad(2, "datasets", "import", *make(tmp_path), "--model", "press")
    assert "datasetDigest" not in system.objects.get("EdgeModel", "press").spec
    assert not list(system.blobs.list("datasets/press"))


def test_an_image_of_another_size_is_refused_or_scaled_when_asked(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model("cam", input={"name": "image", "datatype": "UINT8", "shape": [8, 8]})
    for index in range(12):
        folder = tmp_path / "images" / NAMES[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), index).save(folder / f"{index}.png")
    assert "16 × 16" in system.bad(2, "datasets", "import", tmp_path / "images", "--model", "cam")
    system.good("datasets", "import", tmp_path / "images", "--model", "cam", "--resize")


def test_nonfinite_rows_may_be_left_out_and_are_counted(system: StillSystem, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=BAD, y=Y)
    told = json.loads(
        system.good("datasets", "import", tmp_path / "data.npz", "--model", "press", "--drop-nonfinite", "--json")
    )
    assert told["dropped"] == {"nonFinite": 1}
    assert told["train"] + told["holdout"] == 29


def test_a_holdout_that_no_gate_will_take_is_told_at_once(system: StillSystem, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    assert "gates.minHoldout" in system.good("datasets", "import", tmp_path / "data.npz", "--model", "press")


def test_rows_that_no_dataset_holds_are_refused(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model("words", input={"name": "text", "datatype": "BYTES", "shape": [1]})
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    assert "BYTES" in system.bad(2, "datasets", "import", tmp_path / "data.npz", "--model", "words")


def test_data_for_a_model_that_does_not_exist(system: StillSystem, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    assert "there is no EdgeModel presss" in system.bad(
        2, "datasets", "import", tmp_path / "data.npz", "--model", "presss"
    )


labels = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=200)


@given(labels, st.floats(0.05, 0.95))
def test_a_split_keeps_units_whole_and_every_class_in_training(rows: list[tuple[int, int]], share: float) -> None:
    units, y = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    y = units % 4  # the rows of a unit are of one class
    mask = holdout_split.holdout(units, y, share)
    assert all(len(set(mask[units == unit])) == 1 for unit in units)
    assert set(y[~mask]) == set(y)
    many = [one for one in set(y) if len(set(units[y == one])) >= 2]
    assert set(many) <= set(y[mask])
    assert np.array_equal(mask, holdout_split.holdout(units, y, share))


@pytest.mark.parametrize("rows", [8, 9, 130, 1000])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_windows_are_cut_from_consecutive_rows(tmp_path: Path, rows: int, stride: int) -> None:
    parquet.write_table(table(rows), tmp_path / "data.parquet")
    row = datasets.Input("x", "FP32", (8, 1))
    data = tables.read(tmp_path / "data.parquet", tables.Shape("state", ["a"], 8, stride), row)
    assert data.x.shape[1:] == (8, 1)
    assert np.array_equal(np.diff(data.x[:, :, 0], axis=1), np.ones((len(data.x), 7)))
    assert np.all(data.x[:, 0, 0] % stride == 0)
