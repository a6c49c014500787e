"""`skerry datasets import` of a series: what stands in the dataset, what it says that it did, what it refuses."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli_system import StillSystem
from pyarrow import parquet

from skerry.core import datasets, writers

Import = Callable[..., dict[str, Any]]
FIRST = datetime(2018, 1, 1, tzinfo=UTC)


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


def model(system: StillSystem, shape: Sequence[int] = (4, 1), **forecast: Any) -> None:
    told = {"target": "load", "unit": "kWh", "stepSeconds": 3600, "naive": [1, 24]} | forecast
    spec = {"task": "Forecast", "forecast": told, "input": {"name": "window", "datatype": "FP32", "shape": list(shape)}}
    system.objects.create("EdgeModel", "m", spec, manager=writers.OPERATOR)


def write(path: Path, hours: Sequence[float], /, **columns: Sequence[object]) -> Path:
    """A CSV with the time `at`, the load (the number of the hour) and other columns."""
    columns = {"load": hours, **columns}
    lines = [",".join(["at", *columns])]
    for row, hour in enumerate(hours):
        at = (FIRST + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(",".join([at, *(str(cells[row]) for cells in columns.values())]))
    path.write_text("\n".join(lines) + "\n")
    return path


def import_(system: StillSystem, path: Path, *more: str) -> dict[str, Any]:
    told = system.good("datasets", "import", path, "--model", "m", "--time-column", "at", "--json", *more)
    answer: dict[str, Any] = json.loads(told)
    return answer


def refusal(system: StillSystem, path: Path, *more: str, time_column: str = "at") -> str:
    said = system.bad(2, "datasets", "import", path, "--model", "m", "--time-column", time_column, *more)
    assert "datasetDigest" not in system.objects.get("EdgeModel", "m").spec
    assert not list(system.blobs.list("sha256"))
    return said


def test_a_series_becomes_windows_with_their_truth_and_their_naive_forecasts(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, (4, 1), horizon=3, steps=2)
    told = import_(system, write(tmp_path / "t.csv", range(500)), "--holdout", "0.2")
    manifest, rows = system.dataset("m")
    assert manifest.input == datasets.Input("window", "FP32", (4, 1))
    holdout = rows["holdout"]
    assert (told["train"], told["holdout"], told["rows"]) == (len(rows["train"]), len(holdout), 500)
    last = 496.0  # T: three steps before the end
    assert holdout.x[-1, :, 0].tolist() == [last - 3, last - 2, last - 1, last]
    assert holdout.y[-1].tolist() == [last + 2, last + 3]
    assert holdout.naive is not None
    assert holdout.naive[-1].tolist() == [[last, last], [last + 2 - 24, last + 3 - 24]]
    assert holdout.time is not None
    assert holdout.time[-1] == int((FIRST + timedelta(hours=last)).timestamp() * 1000)


def test_the_holdout_is_the_end_of_the_time_and_nothing_in_training_reaches_into_it(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, (4, 1), horizon=3)
    told = import_(system, write(tmp_path / "t.csv", range(500)), "--holdout", "0.2")
    _, rows = system.dataset("m")
    embargo = 4 + 3
    assert rows["train"].y.max() + embargo < rows["holdout"].x.min()
    assert told["dropped"] == {"embargo": 500 - 4 - 3 + 1 - told["train"] - told["holdout"]}
    assert told["holdoutFromUnixMs"] == int(rows["holdout"].time.min())  # type: ignore[union-attr]


def test_it_says_what_was_left_out_and_why(system: StillSystem, tmp_path: Path) -> None:
    model(system)
    hours = [*range(100), 99, 100, 100, *range(103, 300), 300.5]
    load: list[object] = [*range(100), 99, 100, 250, *range(103, 300), 300.5]
    load[10], load[20] = "", -999
    path = write(tmp_path / "t.csv", hours, load=load)
    options = ("--duplicates", "first", "--valid", "load=0:", "--holdout", "0.2")
    told = import_(system, path, *options)
    assert told["dropped"] == {
        "emptyTarget": 1,
        "outOfRange": 1,
        "duplicateRow": 1,
        "contradictingRow": 1,
        "offStep": 1,
        "gapInWindow": 4 + 4 + 4 + 1,
        "noTruth": 3,
        "embargo": told["dropped"]["embargo"],
    }
    (series,) = told["series"]
    assert (series["missingSteps"], series["gaps"], series["rows"]) == (4, 3, len(hours))
    shown = system.good("datasets", "import", path, "--model", "m", "--time-column", "at", *options)
    assert "left out: 1 rows with an impossible value (outOfRange)" in shown
    assert "2018-01-01 00:00" in shown


def test_a_row_has_the_columns_that_were_named_and_the_calendar_of_the_hour_ahead(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, (4, 5))
    hours = range(500)
    path = write(tmp_path / "t.csv", hours, temp=[hour * 2 for hour in hours], later=hours)
    told = import_(
        system, path, "--feature", "temp", "--calendar", "hour", "--lag", "24", "--known-later", "later", "--sort"
    )
    assert told["columns"] == ["load", "temp", "hour_sin", "hour_cos", "lag_24+1"]
    row = system.dataset("m")[1]["holdout"].x[-1]
    assert row[:, 0].tolist() == [495, 496, 497, 498]
    assert row[:, 1].tolist() == [990, 992, 994, 996]
    assert row[:, 2] == pytest.approx(np.full(4, np.sin(2 * np.pi * (499 % 24) / 24)), abs=1e-6)
    assert row[:, 4].tolist() == [499 - 24] * 4


def test_several_series_of_a_table_are_cut_apart_and_split_at_one_time(system: StillSystem, tmp_path: Path) -> None:
    model(system)
    hours = np.repeat(range(200), 2)  # row after row of the one, then of the other
    load = hours + np.tile([0, 1000], 200)
    path = write(tmp_path / "t.csv", hours.tolist(), load=load.tolist(), plant=["north", "süd"] * 200)
    told = import_(system, path, "--group-column", "plant")
    assert [(series["name"], series["windows"]) for series in told["series"]] == [("north", 196), ("süd", 196)]
    _, rows = system.dataset("m")
    train, holdout = rows["train"], rows["holdout"]
    assert train.series is not None and train.time is not None and holdout.time is not None
    assert set(train.series.tolist()) == {b"north", "süd".encode()}
    assert ((train.y[:, 0] >= 1000) == (train.series == "süd".encode())).all()
    assert train.time.max() < holdout.time.min()


def test_a_machine_with_less_than_a_window_gives_nothing_and_hinders_no_other(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system)
    path = write(tmp_path / "t.csv", [*range(500), *range(2)], machine=["a"] * 500 + ["b"] * 2)
    told = import_(system, path, "--group-column", "machine")
    assert [series["windows"] for series in told["series"]][1:] == [0] and told["train"] > 100


def test_steps_of_a_day_that_follow_summer_time_are_refused_with_what_to_do(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, stepSeconds=86_400, naive=[1])
    path = write(tmp_path / "t.csv", range(0, 24 * 365, 24))
    assert "leave --time-zone out" in refusal(system, path, "--time-zone", "America/Chicago")
    assert import_(system, path)["rows"] == 365


@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_parquet_times_are_read_as_they_are_typed(system: StillSystem, tmp_path: Path, zone: str) -> None:
    model(system)
    hours = np.arange(300)
    at = pa.array(np.datetime64("2018-01-01") + hours * np.timedelta64(3600, "s")).cast(pa.timestamp("us"))
    at = at.cast(pa.timestamp("us", zone)) if zone else at
    parquet.write_table(pa.table({"at": at, "load": hours * 1.0}), tmp_path / "t.parquet")
    import_(system, tmp_path / "t.parquet")
    time = system.dataset("m")[1]["train"].time
    assert time is not None
    assert time.min() == int((FIRST + timedelta(hours=3)).timestamp() * 1000)


def test_without_a_zone_it_says_how_times_were_taken(system: StillSystem, tmp_path: Path) -> None:
    model(system)
    path = write(tmp_path / "t.csv", range(300))
    said = system.run("datasets", "import", path, "--model", "m", "--time-column", "at")
    assert "clock without summer time" in said.stderr
    said = system.run("datasets", "import", path, "--model", "m", "--time-column", "at", "--time-zone", "UTC")
    assert said.stderr == ""


PLAIN: Mapping[str, Sequence[object]] = {"temp": range(300)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--target", "temp"], "--target says temp, and the model has load (forecast.target)", id="target"),
        pytest.param(["--unit", "MWh"], "--unit says MWh, and the model has kWh (forecast.unit)", id="unit"),
        pytest.param(["--horizon", "2"], "--horizon says 2, and the model has 1", id="horizon"),
        pytest.param(["--season", "1"], "--season says 1, and the model has 1, 24 (forecast.naive)", id="seasons"),
        pytest.param(["--feature", "tepm"], "has no column 'tepm' (--feature): it has at, load, temp", id="a typo"),
        pytest.param(["--known-later", "temp,x"], "has no column 'x' (--known-later)", id="known later, a typo"),
        pytest.param(["--valid", "tepm=0:1"], "has no column 'tepm' (--valid)", id="a range of no column"),
        pytest.param(["--valid", "temp=0:1"], "neither the target nor a --feature", id="a range of an unused column"),
        pytest.param(["--time-zone", "Mars/Olympus"], "is no zone that this machine knows", id="a zone of Mars"),
        pytest.param(["--calendar", "moon"], "calendar 'moon' is none of hour, weekday, yearday", id="the moon"),
        pytest.param(["--calendar", "hour:13"], "harmonics are a number from 1 to 12", id="too many harmonics"),
        pytest.param(["--calendar", "hour"], "a row has 4 steps of 3 features (load, hour_sin, hour_cos)", id="shape"),
        pytest.param(["--window", "8"], "a row has 8 steps of 1 features", id="another window than the model's"),
        pytest.param(["--label-column", "load"], "has no classes: leave --labels and --label-column out", id="labels"),
        pytest.param(["--holdout", "0.999"], "nothing is left to train on", id="a holdout of everything"),
        pytest.param(["--format", "npz"], "its data is a CSV or parquet table, not npz", id="arrays"),
    ],
)
def test_what_does_not_fit_the_model_or_the_table_is_refused(
    system: StillSystem, tmp_path: Path, options: list[str], said: str
) -> None:
    model(system)
    path = write(tmp_path / "t.csv", range(300), **PLAIN)
    assert said in refusal(system, path, *options)


def test_a_column_that_is_known_later_is_no_feature(system: StillSystem, tmp_path: Path) -> None:
    model(system, (4, 2))
    path = write(tmp_path / "t.csv", range(300), **PLAIN)
    said = refusal(system, path, "--feature", "temp", "--known-later", "temp")
    assert "column 'temp' is known later only (--known-later)" in said


@pytest.mark.parametrize(
    ("hours", "columns", "said"),
    [
        pytest.param(range(5), {}, "the longest stretch without a missing step has 5", id="a horizon longer than data"),
        pytest.param(range(0, 600, 2), {}, "the longest stretch without a missing step has 1", id="every other hour"),
        pytest.param(range(12), {}, "an embargo of 11 steps", id="too short to be split"),
        pytest.param(range(300), {"load": ["low"] * 300}, "row 0 of column 'load' is the text 'low'", id="text"),
        pytest.param(
            range(300), {"load": [*range(299), "3;1"]}, "row 299 of column 'load' is the text '3;1'", id="one"
        ),
        pytest.param(range(300), {"load": [""] * 300}, "column 'load' holds null", id="nothing at all"),
        pytest.param([*range(300), 7], {}, "the clock goes back 1 times", id="a clock that goes back"),
        pytest.param([*range(300), 299], {"load": range(301)}, "contradict one another", id="two readings of a time"),
    ],
)
def test_data_that_no_forecast_can_come_of_is_refused(
    system: StillSystem, tmp_path: Path, hours: Sequence[int], columns: Mapping[str, Sequence[object]], said: str
) -> None:
    model(system, horizon=7)
    assert said in refusal(system, write(tmp_path / "t.csv", hours, **columns))


def test_a_time_column_that_is_missing_is_named(system: StillSystem, tmp_path: Path) -> None:
    model(system)
    path = write(tmp_path / "t.csv", range(300))
    assert "has no column 'when' (--time-column)" in refusal(system, path, time_column="when")
    said = system.bad(2, "datasets", "import", path, "--model", "m")
    assert "name the column that holds the times with --time-column" in said


def test_options_of_series_are_not_for_a_model_with_classes(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model("m")
    path = write(tmp_path / "t.csv", range(300))
    said = system.bad(2, "datasets", "import", path, "--model", "m", "--label-column", "load", "--season", "24")
    assert "--season is for series, and EdgeModel m has classes" in said


def test_values_that_the_model_says_cannot_be_are_refused_by_row_until_an_option_leaves_them_out(
    system: StillSystem, tmp_path: Path
) -> None:
    model(system, min=0, max=500)
    hours = list(range(200))
    loads = [*range(70), 9999.0, -1.0, *range(72, 200)]
    table = write(tmp_path / "t.csv", hours, load=loads)
    said = refusal(system, table, "--holdout", "0.2")
    assert "2 rows, the first is row 71: 9999 kWh cannot be: load is at least 0 (forecast.min) and at most 500" in said
    assert "--valid load=LOW:HIGH" in said
    told = import_(system, table, "--holdout", "0.2", "--valid", "load=0:500")
    assert told["dropped"]["outOfRange"] == 2
