"""Training runs that an operator asks for, and what is told of those that were."""

import json
import time
from pathlib import Path

import pytest
import seeded_fleet
from cli_system import StillSystem

from skerry.adapters import fleetstate
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.core import writers


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    still = StillSystem(tmp_path)
    seeded_fleet.seed(still.objects, time.time_ns() // 1_000_000)
    return still


def test_runs_tell_why_and_what_came_of_them(system: StillSystem) -> None:
    rows = {row["name"]: row for row in json.loads(system.good("runs", "--json"))}
    assert rows["digits-run-3"]["version"] == "digits-v3"
    assert [gate["outcome"] for gate in rows["digits-run-3"]["gates"]] == ["Pass", "Pass"]
    assert rows["digits-run-4"]["state"] == "Training"
    shown = system.good("runs")
    assert "confidence drifted" in shown
    assert "digits-v3 passed its gates" in shown


def test_one_run_tells_every_gate(system: StillSystem) -> None:
    row = json.loads(system.good("runs", "show", "digits-run-3", "--json"))
    assert row["version"] == "digits-v3" and [gate["outcome"] for gate in row["gates"]] == ["Pass", "Pass"]
    shown = system.good("runs", "show", "digits-run-3")
    assert all(gate["name"] in shown for gate in row["gates"]) and "balance" in shown
    assert "digits-run-9" in system.bad(2, "runs", "show", "digits-run-9")


def end_run(system: StillSystem, name: str, status: str, reason: str) -> None:
    found = {"conditions": [seeded_fleet.mark("Succeeded", status, reason, "as told", 1_000)]}
    system.objects.patch("TrainingRun", name, manager=writers.CONTROLLER, status=found)


def test_one_run_at_a_time(system: StillSystem) -> None:
    assert "digits-run-4 already trains digits" in system.bad(3, "retrain", "digits")


def test_a_run_pins_the_imported_dataset_when_the_curator_says_nothing(system: StillSystem) -> None:
    end_run(system, "digits-run-4", "False", "GatesFailed")
    system.good("retrain", "digits", "--reason", "new lenses")
    made = next(one for one in system.objects.list("TrainingRun") if one.spec["reason"] == "new lenses")
    assert made.spec["datasetDigest"] == "sha256:" + "da" * 32
    assert made.spec["baseVersion"] == "digits-v2"


@pytest.mark.parametrize(("captured", "code"), [(0, 0), (7, 4)], ids=["nothing captured", "rows were captured"])
def test_a_run_never_leaves_out_what_was_imported_last(
    system: StillSystem, monkeypatch: pytest.MonkeyPatch, captured: int, code: int
) -> None:
    """The curator's dataset was made before the import. With captured rows neither has all: that is said."""
    end_run(system, "digits-run-4", "False", "GatesFailed")
    state = MemoryFleetState()
    reading = {"datasetDigest": "sha256:" + "5e" * 32, "baseDigest": "sha256:" + "0a" * 32, "captured": captured}
    state.put("curator:digits", json.dumps(reading), ttl_s=30)
    monkeypatch.setattr(fleetstate, "open_fleetstate", lambda url: state)
    done = system.run("retrain", "digits", "--reason", "after an import")
    assert done.exit_code == code, done.output
    made = [one.spec["datasetDigest"] for one in system.objects.list("TrainingRun") if "import" in one.spec["reason"]]
    assert made == ([] if code else ["sha256:" + "da" * 32])
    assert code == 0 or "--dataset sha256:dada" in done.output


@pytest.mark.parametrize("reading", ["[]", "7", '"x"', "{", "[" * 100_000])
def test_a_reading_of_the_curator_that_is_no_object_says_nothing(
    system: StillSystem, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    end_run(system, "digits-run-4", "False", "GatesFailed")
    state = MemoryFleetState()
    state.put("curator:digits", reading, ttl_s=30)
    monkeypatch.setattr(fleetstate, "open_fleetstate", lambda url: state)
    system.good("retrain", "digits", "--reason", "new lenses")
    made = next(one for one in system.objects.list("TrainingRun") if one.spec["reason"] == "new lenses")
    assert made.spec["datasetDigest"] == "sha256:" + "da" * 32


def test_a_run_without_an_imported_dataset_is_not_told_to_train_on_it(
    system: StillSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_run(system, "digits-run-4", "False", "GatesFailed")
    system.objects.patch("EdgeModel", "digits", manager=writers.OPERATOR, spec={"datasetDigest": ""})
    state = MemoryFleetState()
    reading = {"datasetDigest": "sha256:" + "5e" * 32, "baseDigest": "sha256:" + "0a" * 32, "captured": 7}
    state.put("curator:digits", json.dumps(reading), ttl_s=30)
    monkeypatch.setattr(fleetstate, "open_fleetstate", lambda url: state)
    said = system.bad(4, "retrain", "digits")
    assert "try again in a moment" in said and "--dataset" not in said


def test_a_dataset_may_be_named(system: StillSystem) -> None:
    end_run(system, "digits-run-4", "False", "GatesFailed")
    system.good("retrain", "digits", "--dataset", "sha256:" + "5e" * 32, "--reason", "older data")
    made = next(one for one in system.objects.list("TrainingRun") if one.spec["reason"] == "older data")
    assert made.spec["datasetDigest"] == "sha256:" + "5e" * 32


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("digits", "--dataset", "sha256:7"), 2, "dataset", id="a digest that is none"),
        pytest.param(("numbers",), 2, "there is no EdgeModel numbers", id="a model that does not exist"),
    ],
)
def test_a_run_that_cannot_be_is_refused(system: StillSystem, words: tuple[str, ...], code: int, said: str) -> None:
    end_run(system, "digits-run-4", "False", "GatesFailed")
    before = len(system.objects.list("TrainingRun"))
    assert said in system.bad(code, "retrain", *words)
    assert len(system.objects.list("TrainingRun")) == before


def test_a_model_without_a_network_is_not_retrained(system: StillSystem) -> None:
    system.edge_model()
    assert "names no network" in system.bad(3, "retrain", "press")
