"""What a small file stands for is known before it is read, and what a dataset lacks is said: before a run finds out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cli_system import StillSystem
from pyarrow import parquet

from skerry.cli.importing import table_bounds, tables
from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors
from skerry.core.datasets import Input

_SOME_BYTES = 64 << 20


def read(path: Path, *features: str) -> LabeledRows:
    return tables.read(path, tables.Shape("label", features), Input("x", "FP32", (1,)))


def save(path: Path, columns: dict[str, object]) -> Path:
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]  # arrays and lists
    parquet.write_table(pa.table(columns), path, compression="zstd", store_schema=False, row_group_size=rows)
    return path


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def test_a_file_of_half_a_kilobyte_that_stands_for_eleven_gibibytes_of_text_is_refused(tmp_path: Path) -> None:
    rows = 11 << 10
    path = save(tmp_path / "t.parquet", {"v": np.zeros(rows), "label": repeated("x" * (1 << 20), rows)})
    assert path.stat().st_size < 829
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(errors.TooLargeError, match="'label' has texts of 1048576 characters"):
        read(path)
    assert pa.default_memory_pool().max_memory() - before < _SOME_BYTES


def test_a_long_text_in_a_column_that_nobody_takes_is_no_matter(tmp_path: Path) -> None:
    rows = 11 << 10
    columns = {"v": np.arange(rows), "label": repeated("a", rows), "note": repeated("x" * (1 << 20), rows)}
    assert read(save(tmp_path / "t.parquet", columns), "v").x.shape == (rows, 1)


def test_more_rows_than_are_read_are_refused_by_the_files_metadata(tmp_path: Path) -> None:
    rows = table_bounds.MAX_ROWS + 1
    path = save(tmp_path / "t.parquet", {"v": np.zeros(rows, np.int8), "label": np.zeros(rows, np.int8)})
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(errors.TooLargeError, match="stands for 10,000,001 rows"):
        read(path)
    assert pa.default_memory_pool().max_memory() - before < _SOME_BYTES


def test_parts_of_a_folder_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_bounds, "MAX_ROWS", 25)
    for part in range(3):
        save(tmp_path / f"{part}.parquet", {"v": np.arange(10), "label": ["a", "b"] * 5})
    with pytest.raises(errors.TooLargeError, match="stands for 30 rows"):
        read(tmp_path)


def test_rows_of_csv_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_bounds, "MAX_ROWS", 25)
    path = tmp_path / "t.csv"
    path.write_text("v,label\n" + "1,a\n" * 25)
    with pytest.raises(errors.TooLargeError, match="stands for 26 rows"):
        read(path)


def test_wide_values_of_fixed_length_count_with_their_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_bounds, "MAX_BYTES", 1 << 20)
    wide = pa.DictionaryArray.from_arrays(pa.array([0] * 100), pa.array([b"x" * 20_000], pa.binary(20_000)))
    with pytest.raises(errors.TooLargeError, match="bytes are read"):
        read(save(tmp_path / "t.parquet", {"v": np.zeros(100), "label": ["a", "b"] * 50, "wide": wide}), "v")


def test_a_column_of_lists_is_left_alone_unless_it_is_needed(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet", {"v": [1.0, 2.0], "label": ["a", "b"], "more": [["x"], ["y"]]})
    assert read(path, "v").x.tolist() == [[1.0], [2.0]]
    with pytest.raises(errors.InputError, match=r"column 'more' holds list.*name the features with --feature"):
        read(path)


def test_texts_that_parquet_keeps_in_a_dictionary_are_the_same_texts(tmp_path: Path) -> None:
    label = pa.chunked_array([["b", None, "a"], ["ä", "b"]])
    data = tables.columns.texts(tmp_path, pa.table({"label": label}), "label")
    assert data.tolist() == ["b", "", "a", "ä", "b"]
    parquet.write_table(pa.table({"label": label}), tmp_path / "t.parquet")
    stored = parquet.ParquetFile(tmp_path / "t.parquet", read_dictionary=["label"]).read()
    assert tables.columns.texts(tmp_path, stored, "label").tolist() == data.tolist()


def test_a_class_with_a_single_row_is_told_to_be_measured_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    system = StillSystem(tmp_path / "state")
    system.edge_model()
    x = np.random.default_rng(0).normal(size=(41, 4, 2)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.array(["ok", "worn"] * 20 + ["broken"]))
    result = system.run("datasets", "import", tmp_path / "d.npz", "--model", "press")
    assert result.exit_code == 0
    assert "class 'broken' has no row in the holdout" in result.stderr
    np.savez(tmp_path / "d.npz", x=x[:40], y=np.array(["ok", "worn"] * 20), holdout=np.arange(40) % 2 == 1)
    result = system.run("datasets", "import", tmp_path / "d.npz", "--model", "press")
    assert "class 'ok' has no row in the holdout" in result.stderr
    assert "class 'worn' has rows in the holdout alone, so that nothing can be learned of it" in result.stderr
