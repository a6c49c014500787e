"""Tables become rows as they stand: labels are names, whole numbers stay whole, windows never mix machines; what can be
read in two ways, or only with a loss, is refused by name."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cli_system import StillSystem
from pyarrow import csv, parquet


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


def model(system: StillSystem, classes: list[str], datatype: str = "FP32", shape: tuple[int, ...] = (1,)) -> None:
    system.edge_model("m", classNames=classes, input={"name": "x", "datatype": datatype, "shape": list(shape)})


def import_(system: StillSystem, path: Path, *more: str) -> str:
    return system.good("datasets", "import", path, "--model", "m", "--label-column", "label", *more)


def refusal(system: StillSystem, path: Path, *more: str) -> str:
    said = system.bad(2, "datasets", "import", path, "--model", "m", "--label-column", "label", *more)
    assert "datasetDigest" not in system.objects.get("EdgeModel", "m").spec
    assert not list(system.blobs.list("sha256"))
    return said


def write(path: Path, cells: list[object], labels: list[str], head: str = "v") -> Path:
    path.write_text(
        f"{head},label\n" + "".join(f"{cell},{labels[at % len(labels)]}\n" for at, cell in enumerate(cells))
    )
    return path


def by_class(system: StillSystem) -> dict[str, int]:
    manifest, _ = system.dataset("m")
    totals = np.sum([part.per_class for part in manifest.parts], axis=0)
    return {name: int(count) for name, count in zip(manifest.class_names, totals, strict=True) if count}


HALVES = [f"{at}.5" for at in range(60)]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        pytest.param(["01", "02", "03"], ["01", "02"], id="codes with a zero in front"),
        pytest.param(["1.0", "2.0", "3.0"], ["1.0", "2.0"], id="releases"),
        pytest.param(["3", "4", "5", "6", "7", "8"], ["3", "4", "5"], id="grades"),
        pytest.param(["true", "false"], ["true", "false"], id="truth values"),
    ],
)
def test_a_label_column_holds_names_whatever_they_look_like(
    system: StillSystem, tmp_path: Path, classes: list[str], labels: list[str]
) -> None:
    model(system, classes)
    import_(system, write(tmp_path / "t.csv", list(HALVES), labels))
    assert by_class(system) == dict.fromkeys(labels, 60 // len(labels))


def test_numbers_in_an_npz_that_could_be_names_are_refused_with_both_readings(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, ["3", "4", "5", "6", "7", "8"])
    np.savez(tmp_path / "t.npz", x=np.arange(60.0)[:, None], y=np.arange(60) % 3 + 3)
    said = refusal(system, tmp_path / "t.npz")
    assert "class '3' (by name) or class '6' (counted from 0)" in said
    import_(system, tmp_path / "t.npz", "--labels", "3,4,5,6,7,8")
    assert by_class(system) == {"6": 20, "7": 20, "8": 20}


def test_a_whole_number_column_of_parquet_is_read_as_an_npz_is(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["01", "02", "03"])
    parquet.write_table(pa.table({"v": np.arange(20.0), "label": np.arange(20) % 2 + 1}), tmp_path / "t.parquet")
    assert "class '02'" in refusal(system, tmp_path / "t.parquet")


def test_whole_numbers_of_csv_are_kept_exactly(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"], "INT64")
    ids = [1_700_000_000_000_000_001 + at for at in range(20)] + [16_777_217 + 2 * at for at in range(20)]
    import_(system, write(tmp_path / "t.csv", list(ids), ["a", "b"]))
    rows = system.dataset("m")[1]
    assert sorted(np.concatenate([rows["train"].x, rows["holdout"].x]).ravel().tolist()) == sorted(ids)


def test_unsigned_numbers_beyond_the_signed_ones_are_kept_exactly(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"], "UINT64")
    ids = [2**63 + 2 * at + 1 for at in range(20)]
    import_(system, write(tmp_path / "t.csv", list(ids), ["a", "b"]))
    rows = system.dataset("m")[1]
    assert sorted(np.concatenate([rows["train"].x, rows["holdout"].x]).ravel().tolist()) == ids


@pytest.mark.parametrize(
    ("datatype", "cells", "said"),
    [
        pytest.param("FP32", [16_777_217] * 4, "16777217", id="a whole number that FP32 would round"),
        pytest.param("UINT8", [3, 300, 4, 5], "row 1 holds 300", id="a number beyond the datatype"),
        pytest.param("INT64", [2**53 + 1, "", 4, 5], "9007199254740993", id="a large number beside an empty cell"),
        pytest.param("INT64", [1.5, 2.0, 3.0, 4.0], "row 0, column 0 holds 1.5", id="a real number for whole ones"),
        pytest.param("INT64", ["9007199254740994.0"] * 4, "row 0, column 0 holds", id="a number that may be rounded"),
        pytest.param("FP32", ["1e300", 2.0, 3.0, 4.0], "row 0 holds 1e+300", id="an infinity made by FP32"),
        pytest.param("FP16", [1.0, 70000, 3.0, 4.0], "row 1 holds 70000", id="an infinity made by FP16"),
    ],
)
def test_a_number_that_the_datatype_cannot_hold_is_refused_with_its_row(
    system: StillSystem, tmp_path: Path, datatype: str, cells: list[object], said: str
) -> None:
    model(system, ["a", "b"], datatype)
    more = ["--drop-nonfinite"] if "" in cells else []
    answer = refusal(system, write(tmp_path / "t.csv", cells, ["a", "b"]), *more)
    assert said in answer
    assert "column 'v'" in answer or "t.csv: row" in answer


def test_an_npz_whose_numbers_would_become_infinite_is_refused(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"], "FP16")
    x = np.arange(40.0)[:, None]
    x[3] = 70_000
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(40) % 2)
    assert "row 3, column 0 holds 70000.0, which FP16, the datatype of the model's input" in refusal(
        system, tmp_path / "t.npz"
    )


LATIN = ("größe,v,label\n" + "1,2,a\n3,4,b\n" * 9).encode("latin-1")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"u,u,label\n1,2,a\n", "two columns 'u'", id="two columns of one name"),
        pytest.param(LATIN, "save it as UTF-8", id="column names in Latin-1"),
        pytest.param(b"u,v,label\n1,2,gro\xdf\n3,4,klein\n", "save it as UTF-8", id="labels in Latin-1"),
        pytest.param("u,v,label\n1,2,a\n".encode("utf-16"), "UTF-8", id="UTF-16"),
        pytest.param(b"u;v;label\n1;2;a\n", "separated by ';'", id="semicolons"),
        pytest.param(b"Unnamed: 0,v,label\n0,1,a\n1,2,b\n", "'Unnamed: 0' holds row numbers", id="a pandas index"),
        pytest.param(b",v,label\n0,1,a\n1,2,b\n", "row numbers", id="an index without a name"),
        pytest.param(b"u,v,label\n1,2,a\n3,4,\n", "label '' is no class", id="a row without a label"),
        pytest.param(b"", "cannot be read as csv", id="an empty file"),
        pytest.param(b"label\na\nb\n", "no feature is left", id="labels alone"),
    ],
)
def test_a_table_that_cannot_be_read_with_certainty_is_refused_in_one_sentence(
    system: StillSystem, tmp_path: Path, data: bytes, said: str
) -> None:
    model(system, ["a", "b"], shape=(2,))
    (tmp_path / "t.csv").write_bytes(data)
    answer = refusal(system, tmp_path / "t.csv")
    assert said in answer
    assert len(answer.strip().splitlines()) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_column(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"])
    path = write(tmp_path / "t.csv", list(HALVES), ["a", "b"])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    import_(system, path, "--feature", "v")
    assert by_class(system) == {"a": 30, "b": 30}


def test_an_index_column_of_parquet_is_named_unless_it_is_chosen(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"])
    columns = {"__index_level_0__": np.arange(20), "label": ["a", "b"] * 10}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert "'__index_level_0__' holds row numbers" in refusal(system, tmp_path / "t.parquet")
    import_(system, tmp_path / "t.parquet", "--feature", "__index_level_0__")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_folder_as_spark_writes_it_is_one_table(system: StillSystem, tmp_path: Path, kind: str) -> None:
    model(system, ["a", "b"])
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / f"part-00009-empty.{kind}").touch()
    for part in range(3):
        table = pa.table({"v": np.arange(10.0) + 10 * part, "label": ["a", "b"] * 5})
        path = folder / f"part-{part:05}-c0.snappy.{kind}"
        parquet.write_table(table, path) if kind == "parquet" else csv.write_csv(table, path)
    import_(system, folder)
    assert by_class(system) == {"a": 15, "b": 15}


def test_a_folder_that_is_split_by_a_column_is_refused_by_name(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"])
    (tmp_path / "out" / "label=a").mkdir(parents=True)
    assert "'label=a'" in refusal(system, tmp_path / "out")


def machines(path: Path, *, mixed: bool) -> Path:
    """40 machines of 12 rows, each with its number as the only feature; `mixed`: one row of each in turn."""
    rows = [(machine, f"press-{machine}") for machine in range(40) for _ in range(12)]
    rows = sorted(rows, key=lambda row: 0) if not mixed else [rows[12 * (at % 40) + at // 40] for at in range(480)]
    lines = [f"{machine},{name},{'ok' if machine % 2 else 'worn'}\n" for machine, name in rows]
    path.write_text("v,machine,label\n" + "".join(lines))
    return path


@pytest.mark.parametrize("mixed", [False, True], ids=["one machine after the other", "row by row in turn"])
def test_no_window_holds_rows_of_two_machines(system: StillSystem, tmp_path: Path, mixed: bool) -> None:
    model(system, ["ok", "worn"], shape=(8, 1))
    path = machines(tmp_path / "t.csv", mixed=mixed)
    said = import_(system, path, "--window", "8", "--group-column", "machine")
    rows = system.dataset("m")[1]
    windows = np.concatenate([rows["train"].x, rows["holdout"].x])[:, :, 0]
    assert len(windows) == 40 * 5
    assert (windows.max(axis=1) == windows.min(axis=1)).all()
    assert "windows by group: press-0 5, press-1 5" in said
    assert "and 20 more" in said


def test_a_machine_with_too_few_rows_is_named(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["ok", "worn"], shape=(8, 1))
    path = machines(tmp_path / "t.csv", mixed=False)
    path.write_text(path.read_text() + "7,late-one,ok\n")
    said = import_(system, path, "--window", "8", "--group-column", "machine")
    assert "too few rows for a window: late-one" in said
    told = json.loads(import_(system, path, "--window", "8", "--group-column", "machine", "--json"))
    assert (told["windows"]["press-3"], told["windows"]["late-one"]) == (5, 0)


def test_a_column_that_seems_to_tell_machines_apart_is_pointed_out(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["ok", "worn"], shape=(8, 1))
    path = machines(tmp_path / "t.csv", mixed=False)
    result = system.run(
        *("datasets", "import", path, "--model", "m", "--label-column", "label", "--feature", "v", "--window", "8")
    )
    assert "--group-column v" in result.stderr


def test_when_nothing_can_be_held_out_nothing_is_stored(system: StillSystem, tmp_path: Path) -> None:
    model(system, ["a", "b"])
    np.savez(tmp_path / "t.npz", x=np.array([[0.0], [1.0]]), y=np.array([0, 1]))
    assert "nothing can be held out" in refusal(system, tmp_path / "t.npz")
