"""`skerry models import` of a finished forecaster: described by its EdgeModel, calibrated and judged on a series that
it was not trained on; what does not fit is refused with what to do."""

from datetime import UTC, datetime
from pathlib import Path

import forecast_imports as given
import numpy as np
import onnx_imports
import pytest
from cli_system import StillSystem
from forecast_imports import network, refusal, series, told
from onnx import TensorProto

from skerry.adapters import blobs
from skerry.adapters.trust import ceremony
from skerry.core import manifest, writers
from skerry.core.tasks import Forecast
from skerry.core.tasks.forecast import WIDTHS
from skerry.serving import selftest


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    ceremony.ensure(
        blobs.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    given.model(still)
    return still


def version(system: StillSystem, name: str = "load-v1") -> manifest.Manifest:
    return onnx_imports.manifest_of(system, name)


# ---- what becomes of it


def test_a_forecaster_is_calibrated_on_its_holdout(system: StillSystem, tmp_path: Path) -> None:
    answer = told(system, tmp_path, network())
    shipped = version(system)
    assert isinstance(shipped.task, Forecast)
    assert shipped.confidence.bound == pytest.approx(1.645 * given.NOISE, rel=0.1)  # nine tenths of normal errors
    assert len(shipped.confidence.widths) == WIDTHS
    assert answer["bound"] == shipped.confidence.bound
    assert answer["holdout"]["mae"] == pytest.approx(0.798 * given.NOISE, rel=0.1)
    assert answer["holdout"]["coverage"] == pytest.approx(0.8, abs=0.05)
    assert {gate["outcome"] for gate in answer["gates"]} == {"Pass"}
    assert answer["rollout"] == "" and answer["isNew"]
    assert shipped.metrics["imported"]["n"] == answer["holdout"]["n"] > 600


@pytest.mark.long
def test_its_golden_set_is_of_the_holdout_and_passes_on_a_node(system: StillSystem, tmp_path: Path) -> None:
    """Callers send the model's input, whatever the file calls its own."""
    told(system, tmp_path, network(name="x"))
    assert [spec.name for spec in version(system).inputs] == ["window"]
    files = {file.name: blobs.fetch(system.blobs, file.digest, 1 << 20) for file in version(system).files.values()}
    assert selftest.check(version(system), files["model.onnx"], files["golden.npz"]).passed


@pytest.mark.long
def test_people_are_told_units_and_intervals(system: StillSystem, tmp_path: Path) -> None:
    said = system.good(*given.words(tmp_path, network()))
    assert "with a forecast of load in kWh" in said
    assert "kWh (last value" in said and "24 steps before" in said
    assert "% of the truths, 80.0% is meant" in said
    assert "class" not in said and "label" not in said
    listed = system.good("models")
    assert "mean error" in listed and "kWh" in listed and "(80% meant)" in listed


@pytest.mark.long
def test_the_same_file_a_second_time_is_no_second_version(system: StillSystem, tmp_path: Path) -> None:
    assert told(system, tmp_path, network())["version"] == "load-v1"
    again = told(system, tmp_path, network())
    assert (again["version"], again["isNew"]) == ("load-v1", False)


def publish(system: StillSystem, *names: str) -> None:
    condition = {"type": "Available", "status": "True", "reason": "Published", "message": "", "lastTransitionTime": ""}
    for name in names:
        system.objects.patch("ModelVersion", name, manager=writers.CONTROLLER, status={"conditions": [condition]})


def test_a_file_is_known_again_whatever_is_the_stable_version_now(system: StillSystem, tmp_path: Path) -> None:
    """The stable version's bound goes into a manifest: the same file would be a third version."""
    first, second = network(), network(level=100.5)
    assert told(system, tmp_path, first)["version"] == "load-v1"
    assert told(system, tmp_path, second)["version"] == "load-v2"
    assert version(system).confidence.bound != version(system, "load-v2").confidence.bound
    publish(system, "load-v1", "load-v2")
    stable(system, "load-v2")
    again = told(system, tmp_path, first)
    assert (again["version"], again["isNew"], again["bound"]) == ("load-v1", False, version(system).confidence.bound)
    [rollout] = system.objects.list("ModelRollout")
    assert (rollout.name, rollout.spec["version"], rollout.spec["rollback"]) == (again["rollout"], "load-v1", True)
    said = system.good(*given.words(tmp_path, second))
    assert "load-v2 was imported before" in said and "nothing is rolled out: load-v2 is this very network" in said
    assert "with a forecast of load in kWh" in said and "the holdout is not looked at again" in said


@pytest.mark.long
def test_a_file_of_which_something_else_is_said_is_another_version(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, network())
    assert told(system, tmp_path, network(), "--threshold", "0.7")["version"] == "load-v2"
    assert told(system, tmp_path, network(), "--threshold", "0.7")["version"] == "load-v2"


# ---- what is refused


def test_an_output_of_another_width_is_refused(system: StillSystem, tmp_path: Path) -> None:
    said = refusal(system, tmp_path, network(outputs=4))
    assert "'quantiles' is FP32 [batch, 4]" in said
    assert "forecasts 1 steps in 3 quantiles, so that an output of real numbers [batch, 3] is needed" in said


def test_quantiles_that_cross_on_the_holdout_are_refused(system: StillSystem, tmp_path: Path) -> None:
    said = refusal(system, tmp_path, network(low=1.0, high=-1.0), code=3)
    assert "imported-quantiles: quantiles cross in" in said and "from the median outward" in said


@pytest.mark.long
def test_an_answer_that_is_no_number_is_refused(system: StillSystem, tmp_path: Path) -> None:
    assert "NaN" in refusal(system, tmp_path, network(level=float("nan")), code=5)


@pytest.mark.long
def test_a_forecaster_that_loses_to_the_last_value_is_refused_by_name(system: StillSystem, tmp_path: Path) -> None:
    said = refusal(system, tmp_path, network(swing=0.0, low=-60, high=60), code=3)
    assert "imported-beats-naive-1: mean error" in said and "gates of EdgeModel load" in said
    assert "bring a better network" in said


@pytest.mark.long
def test_an_interval_that_covers_too_much_is_refused(system: StillSystem, tmp_path: Path) -> None:
    assert "imported-coverage: the interval covers" in refusal(
        system, tmp_path, network(low=-100.0, high=100.0), code=3
    )


@pytest.mark.long
def test_a_holdout_of_a_few_days_decides_nothing(system: StillSystem, tmp_path: Path) -> None:
    said = refusal(system, tmp_path, network(), code=3, holdout=series(tmp_path / "short.csv", days=6))
    assert "Inconclusive" in said and "too few to judge by" in said and "longer holdout" in said


def test_a_holdout_that_is_empty_after_the_embargo_is_refused(system: StillSystem, tmp_path: Path) -> None:
    said = refusal(system, tmp_path, network(), "--trained-until", "2018-01-30 12:00")
    assert "its holdout is empty: no window" in said and "an embargo of 13 steps (window + horizon)" in said


@pytest.mark.long
def test_nothing_of_the_training_reaches_into_the_holdout(system: StillSystem, tmp_path: Path) -> None:
    long = series(tmp_path / "long.csv", days=50)
    answer = told(system, tmp_path, network(), "--trained-until", "2018-01-20 00:00", holdout=long)
    begins = answer["holdout"]["fromUnixMs"] - (given.WINDOW - 1) * 3_600_000
    until = datetime(2018, 1, 20, tzinfo=UTC).timestamp() * 1000
    assert begins > until + (given.WINDOW + 1) * 3_600_000
    assert answer["holdout"]["dropped"]["embargo"] > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(network(shape=("N", 24, 3)), "FP32 [batch, 24, 3]", id="another window"),
        pytest.param(network(datatype=TensorProto.DOUBLE), "is FP64", id="another datatype"),
    ],
)
def test_an_input_that_is_not_the_models_is_refused(
    system: StillSystem, tmp_path: Path, data: bytes, said: str
) -> None:
    assert said in (told := refusal(system, tmp_path, data))
    assert "that of the EdgeModel is FP32 [12, 3]: export it for such rows, or change spec.input" in told


@pytest.mark.parametrize("words", [("--labels", "a,b,c"), ("--temperature", "2"), ("--logits",), ("--probabilities",)])
def test_what_belongs_to_classes_is_refused_for_a_forecaster(
    system: StillSystem, tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = refusal(system, tmp_path, network(), *words)
    assert f"{words[0]} is for classes, and EdgeModel load forecasts a series (task): leave it out" in said


def test_a_forecaster_without_a_holdout_is_refused(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "load.onnx").write_bytes(network())
    said = system.bad(2, "models", "import", tmp_path / "load.onnx", "--name", "load")
    assert "EdgeModel load forecasts a series: give a table that the network was not trained on (--holdout)" in said


def test_a_forecaster_that_nobody_described_is_refused(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "load.onnx").write_bytes(network())
    said = system.bad(2, "models", "import", tmp_path / "load.onnx", "--name", "heat")
    assert "there is no EdgeModel heat" in said and "--labels" in said and "`skerry models apply FILE`" in said


@pytest.mark.parametrize("words", [("--time-column", "at"), ("--stride", "3"), ("--trained-until", "2018-01-01")])
def test_what_belongs_to_a_series_is_refused_for_a_classifier(
    system: StillSystem, tmp_path: Path, words: tuple[str, ...]
) -> None:
    system.edge_model("press")
    np.savez(tmp_path / "golden.npz", window=np.zeros((2, 4, 2), np.float32))
    (tmp_path / "press.onnx").write_bytes(network())
    arguments = ("--name", "press", "--labels", "a,b", "--golden", tmp_path / "golden.npz", *words)
    said = system.bad(2, "models", "import", tmp_path / "press.onnx", *arguments)
    what = "the table of a forecaster's holdout"
    assert f"{words[0]} is for {what}, and EdgeModel press has classes, not a forecast (task): leave it out" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("garbage",), "'garbage' is no time: write it as the table does, in ISO 8601", id="a word"),
        pytest.param(
            ("20.1.2018", "--time-format", "%Y-%m-%d %H:%M"), "in the form '%Y-%m-%d %H:%M'", id="another form"
        ),
        pytest.param(
            ("2018-03-25 02:30", "--time-zone", "Europe/Berlin"), "an hour that Europe/Berlin left out", id="no hour"
        ),
    ],
)
def test_an_end_of_the_training_that_is_no_time_is_refused_without_a_word_of_rows(
    system: StillSystem, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    told = refusal(system, tmp_path, network(), "--trained-until", *words)
    assert f"--trained-until '{words[0]}' is " in told and said in told
    assert "row" not in told


def test_a_holdout_that_is_no_table_is_refused_without_an_option_that_is_not_there(
    system: StillSystem, tmp_path: Path
) -> None:
    (tmp_path / "held.txt").write_text("at,load\n")
    said = refusal(system, tmp_path, network(), holdout=tmp_path / "held.txt")
    assert "a holdout is a table, .csv or .parquet" in said and "--format" not in said


# ---- beside the stable version


def stable(system: StillSystem, name: str) -> None:
    system.objects.patch("EdgeModel", "load", manager=writers.CONTROLLER, status={"stableVersion": name})


def test_one_that_is_worse_than_the_stable_version_is_refused(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, network())
    stable(system, "load-v1")
    said = refusal(system, tmp_path, network(level=103.0), code=3)
    assert "imported-not-worse: loss" in said and "before" in said and "kWh" in said


@pytest.mark.long
def test_a_later_version_inherits_the_bound_of_a_bad_answer(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, network(level=102.0))
    stable(system, "load-v1")
    told(system, tmp_path, network())
    assert version(system, "load-v2").confidence.bound == version(system, "load-v1").confidence.bound


@pytest.mark.long
def test_an_earlier_version_comes_back_without_beating_the_stable_one(system: StillSystem, tmp_path: Path) -> None:
    told(system, tmp_path, network(level=103.0))
    stable(system, "load-v1")
    told(system, tmp_path, network())
    stable(system, "load-v2")
    assert told(system, tmp_path, network(level=103.0))["version"] == "load-v1"


@pytest.mark.long
def test_a_stable_version_that_cannot_be_had_is_no_pass(system: StillSystem, tmp_path: Path) -> None:
    stable(system, "load-v7")
    said = refusal(system, tmp_path, network(), code=3)
    assert "baseline: there is no ModelVersion load-v7 to compare with" in said
