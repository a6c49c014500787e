"""The demo's verdict: each thing that keeps the loop open is named, and nothing else is."""

import dataclasses
import math

import pytest

from skerry.cli.demo import digits_model, faults, results
from skerry.cli.demo.traffic import Answer

GOOD = {
    "clean": results.PhaseRow("clean", 900, 0, 0.96, 0.97, 0.1, 1.0, 5.0),
    "drift": results.PhaseRow("drift", 900, 0, 0.60, 0.80, 0.2, 1.0, 5.0),
    "after": results.PhaseRow("after", 900, 0, 0.88, 0.93, 0.1, 1.0, 5.0),
}
NODES = {"a": "sha256:new", "b": "sha256:new"}
HOLDOUT = results.Holdout(before=0.96, after=0.955, n=2000)
GAIN = results.Gain(before=0.60, after=0.88, n_before=900, n_after=900)


def answer(**changes: object) -> Answer:
    plain = Answer(1.0, "clean", "clean", "a", 3, 3, 3, "local", False, 0.9, "sha256:x", 1, 0.002)
    return dataclasses.replace(plain, **changes)


def test_a_loop_that_closed_has_no_reason_to_be_open() -> None:
    assert results.why_open(GOOD, NODES, "sha256:new", HOLDOUT, GAIN) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param({"target": ""}, "no new version", id="nothing was trained"),
        pytest.param({"nodes": {**NODES, "b": "sha256:old"}}, "b", id="one node stayed behind"),
        pytest.param({"nodes": {}}, "no node", id="nobody reported"),
        pytest.param({"rows": {"clean": {"edge_accuracy": 0.94}}}, "clean images", id="the first version was no good"),
        pytest.param({"gain": {"after": 0.74}}, "0.740", id="the gain is too small"),
        pytest.param({"gain": {"after": math.nan}}, "nan", id="nothing was measured after"),
        pytest.param({"gain": {"before": math.nan}}, "nan", id="nothing was measured before"),
        pytest.param({"rows": {"drift": {"lost": 1}}}, "1 requests", id="a request was lost"),
        pytest.param({"holdout": None}, "holdout", id="the versions were not compared"),
        pytest.param({"holdout": results.Holdout(0.96, 0.955, 1999)}, "holdout", id="the holdout is too small"),
        pytest.param({"holdout": results.Holdout(0.96, 0.949, 2000)}, "fell", id="the new version is worse on clean"),
    ],
)
def test_each_reason_is_named(changes: dict, word: str) -> None:
    rows = {name: dataclasses.replace(row, **changes.get("rows", {}).get(name, {})) for name, row in GOOD.items()}
    holdout = changes.get("holdout", HOLDOUT)
    gained = dataclasses.replace(GAIN, **changes.get("gain", {}))
    reasons = results.why_open(rows, changes.get("nodes", NODES), changes.get("target", "sha256:new"), holdout, gained)
    assert len(reasons) >= 1
    assert word in " ".join(reasons)


def test_a_phase_row_counts_what_the_cameras_saw() -> None:
    answers = [
        answer(),
        answer(local=5, answered=3, route="cloud", seconds=0.010),
        answer(local=5, answered=5, degraded=True, seconds=0.004),
        answer(error="UNAVAILABLE: gone", local=-1, answered=-1),
        answer(phase="drift"),
    ]
    row = results.phase_row("clean", answers)
    assert (row.requests, row.lost) == (4, 1)
    assert row.edge_accuracy == pytest.approx(1 / 3)
    assert row.answer_accuracy == pytest.approx(2 / 3)
    assert row.offload_rate == pytest.approx(1 / 3)
    assert (row.p50_ms, row.p99_ms) == (pytest.approx(4.0), pytest.approx(10.0))


def test_the_gain_counts_the_edge_alone_on_final_images_by_version() -> None:
    answers = [
        answer(shown="final", digest="sha256:old"),
        answer(shown="final", digest="sha256:old", local=5, answered=3, route="cloud"),
        answer(shown="replay", digest="sha256:old", local=5),
        answer(shown="final", digest="sha256:new"),
        answer(shown="final", digest="sha256:bad", local=5),
        answer(shown="final", digest="", error="UNAVAILABLE: gone", local=-1, answered=-1),
    ]
    assert results.gain(answers, "sha256:old", "sha256:new", "final") == results.Gain(0.5, 1.0, 2, 1)


def test_a_version_that_answered_nothing_has_no_gain() -> None:
    none = results.gain([answer(shown="final", digest="sha256:old")], "sha256:old", "", "final")
    assert (none.before, none.n_after) == (1.0, 0)
    assert math.isnan(none.after)
    assert results.as_json(none)["after"] is None


def test_an_empty_phase_is_not_a_number_and_null_in_json() -> None:
    row = results.phase_row("after", [])
    assert math.isnan(row.edge_accuracy)
    assert results.as_json(row)["edge_accuracy"] is None


def test_series_group_by_time_and_leave_out_what_was_lost() -> None:
    answers = [answer(at_s=0.1), answer(at_s=1.9, local=5), answer(at_s=2.1), answer(at_s=2.2, error="x")]
    assert results.series(answers)["accuracy_edge"] == [(1.0, 0.5), (3.0, 1.0)]


def test_every_fault_can_be_asked_for() -> None:
    assert sorted(faults.FAULTS) == list(digits_model.FAULTS)
