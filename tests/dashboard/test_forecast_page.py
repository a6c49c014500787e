"""What the page shows of a model that forecasts: target and unit, errors and intervals, and no word of classes."""

import json
from typing import Any

import dashboard_world as world
import pytest
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core.tasks import Classification, Forecast
from skerry.dashboard import app, nodes

TASK = Forecast("load", "kWh", (100, 500, 900), 900, horizon=4, steps=4, naive=(1, 96))
NUMBERS = {
    "imported-finite": {"nonFinite": 0.0},
    "imported-beats-naive-1": {"mae": 3.84, "naive": 5.44},
    "imported-coverage": {"coverage": 0.791, "nominal": 0.8},
}
VERDICT: dict[str, Any] = {
    "outcome": "Pass",
    "reason": "all 3 gates passed",
    "gates": [
        {"name": name, "outcome": "Pass", "reason": "fine", "numbers": numbers} for name, numbers in NUMBERS.items()
    ],
}


def shown(verdict: dict[str, Any] | None, live: MemoryFleetState | None = None, path: str = "/") -> world.Page:
    store = MemoryObjects()
    spec = {"task": "Forecast", **TASK.to_json(), "input": {"name": "w", "datatype": "FP32", "shape": [96, 5]}}
    store.create("EdgeModel", "load", spec, manager="operator")
    version = {"model": "load", "version": 1, "digest": world.STABLE, "targetPath": "imported/load/1"}
    told = {} if verdict is None else {"verdict": verdict}
    store.create("ModelVersion", "load-v1", version | told, manager="operator")
    node = {"models": [{"model": "load", "version": 1, "digest": world.STABLE}], "lastSeenUnixMs": world.NOW_MS}
    store.create("EdgeNode", "edge-a", {"labels": {}}, manager="gateway")
    store.patch("EdgeNode", "edge-a", manager="gateway", status=node | {"connected": True})
    compared = {"name": "canary", "nodes": ["edge-a"], "startedUnixMs": world.NOW_MS, "verdict": world.COMPARED}
    rollout = {"model": "load", "version": "load-v1", "fleet": "all"}
    store.create("ModelRollout", "load-v1-auto", rollout, manager="controller")
    status = {"attempt": 1, "state": "Progressing", "wave": 0, "waves": [compared]}
    store.patch("ModelRollout", "load-v1-auto", manager="controller", status=status)
    built = app.build(store, live or MemoryFleetState(), max_streams=4, hosts=(), clock=lambda: world.NOW_MS)
    answer = TestClient(built, base_url="http://127.0.0.1").get(path)
    assert answer.status_code == 200
    return world.Page(answer.text)


def test_a_forecaster_says_what_it_forecasts_and_in_what_unit() -> None:
    page = shown(VERDICT)
    assert "a forecast of load in kWh" in page.text
    assert "class" not in page.text.lower()


def test_a_verdict_says_what_a_bad_forecast_is() -> None:
    assert "Bad answers (farther from their truth than the version's bound) by arm" in shown(VERDICT).text


def test_a_version_shows_its_error_and_what_its_interval_covers() -> None:
    row = shown(VERDICT).row("load-v1")
    assert "mean error 3.84 kWh, 79% in the interval (80% meant)" in row


@pytest.mark.parametrize(
    "verdict", [None, {"outcome": "Pass", "gates": "?"}, {"outcome": "Pass", "gates": [{"numbers": 7}, "x"]}]
)
def test_a_version_whose_numbers_nobody_knows_shows_none(verdict: dict[str, Any] | None) -> None:
    assert "–" in shown(verdict).row("load-v1")


def test_forecasts_that_wait_for_their_truth_are_counted() -> None:
    live = MemoryFleetState()
    live.put("curator:load", json.dumps({"labeled": 40, "truths": 40, "untold": 24}), ttl_s=60)
    assert (
        "40 captured examples labelled, 40 of them by ground truth; 24 wait for their truth" in shown(None, live).text
    )


@pytest.mark.parametrize("path", ["/", "/nodes/edge-a"])
def test_a_node_shows_what_its_forecasts_were_off_by(path: str) -> None:
    live = MemoryFleetState()
    reading = {"requests": 96, "offloaded": 0, "truths": 90, "absoluteError": 3.9, "coverage": 0.75}
    live.put("node:edge-a:load", json.dumps(reading), ttl_s=60)
    told = "90 truths lately, mean error 3.9 kWh, 75% in the interval (80% are meant to be)"
    assert told in shown(None, live, path).text
    assert "mean error" not in shown(None, path=path).text


def test_an_error_that_a_node_writes_of_a_classifier_is_not_shown() -> None:
    reading = {"requests": 96, "offloaded": 0, "truths": 90, "absoluteError": 3.9, "coverage": 0.75}
    store = MemoryObjects()
    store.create("EdgeNode", "edge-a", {}, manager="gateway")
    report = {"model": "wear", "version": 1, "digest": world.STABLE}
    store.patch("EdgeNode", "edge-a", manager="gateway", status={"models": [report]})
    told = nodes.view(
        store.list("EdgeNode"),
        [],
        {"node:edge-a:wear": reading},
        now_ms=world.NOW_MS,
        tasks={"wear": Classification(("worn", "broken"))},
    )
    assert [one.accuracy for one in told[0].serving] == [""]


def test_a_classifier_says_how_often_it_is_right() -> None:
    classes = Classification(("worn", "broken"))
    assert classes.quality({"imported-learned": {"macroRecall": 0.982}}) == "macro recall 98.2%"
    assert classes.quality({}) == TASK.quality({}) == ""
