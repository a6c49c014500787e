"""Which events are told: derived from what objects say, with ids that are the same whoever derives them."""

from dataclasses import replace
from typing import Any

import pytest

from skerry.core import conditions, rollout, webhook_events
from skerry.core.rollout.status import Wave
from skerry.core.webhook_events import NodeAlarm

SPEC = {"model": "digits"}
PASSED = {"result": "Pass", "final": True, "reason": "as good"}
UNDER_WAY = rollout.Status(
    attempt=2,
    state="Progressing",
    started_ms=1000,
    waves=(Wave("canary", ("a",), verdict=PASSED, verdict_ms=5000), Wave("rest", ("b",))),
    wave=1,
)


def types(status: rollout.Status) -> list[str]:
    return [one.type for one in webhook_events.of_rollout("u", "r", SPEC, rollout.to_json(status))]


def ids(status: rollout.Status) -> list[str]:
    return [one.id for one in webhook_events.of_rollout("u", "r", SPEC, rollout.to_json(status))]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"started_ms": 0, "waves": (), "state": "Pending", "wave": 0}, [], id="not begun"),
        pytest.param({}, ["rollout.started", "rollout.promoted"], id="in its second wave"),
        pytest.param(
            {"pause_reasons": ("Inconclusive",), "pause_number": 3},
            ["rollout.started", "rollout.promoted", "rollout.paused"],
            id="paused",
        ),
        pytest.param({"state": "RollingBack"}, ["rollout.started", "rollout.promoted"], id="not back yet"),
        pytest.param(
            {"state": "RolledBack", "finished_ms": 9},
            ["rollout.started", "rollout.promoted", "rollout.rolled_back"],
            id="rolled back",
        ),
        pytest.param(
            {"state": "Succeeded", "finished_ms": 9},
            ["rollout.started", "rollout.promoted", "rollout.succeeded"],
            id="succeeded",
        ),
        pytest.param(
            {"state": "Superseded", "finished_ms": 9},
            ["rollout.started", "rollout.promoted", "rollout.ended"],
            id="superseded",
        ),
    ],
)
def test_a_rollout(changes: dict[str, Any], told: list[str]) -> None:
    assert types(replace(UNDER_WAY, **changes)) == told


def test_ids_are_of_the_attempt_and_of_the_pause() -> None:
    assert set(ids(UNDER_WAY)).isdisjoint(ids(replace(UNDER_WAY, attempt=3)))

    def paused(at_ms: int) -> rollout.Status:
        said = conditions.put((), "Paused", "True", "Operator", "", now_ms=at_ms)
        return replace(UNDER_WAY, pause_reasons=("Operator",), conditions=said)

    assert ids(paused(1_000)) == ids(paused(1_000))
    assert len({ids(paused(1_000))[-1], ids(paused(60_000))[-1]}) == 2, "paused, resumed and paused again"


def test_what_cannot_be_read_tells_nothing() -> None:
    assert list(webhook_events.of_rollout("u", "r", SPEC, {"state": 5})) == []
    assert list(webhook_events.of_run("u", "r", SPEC, {"conditions": 5, "finishedUnixMs": 1})) == []


@pytest.mark.parametrize(("status", "told"), [("True", "run.succeeded"), ("False", "run.failed"), ("Unknown", None)])
def test_a_run(status: str, told: str | None) -> None:
    said = conditions.to_json(conditions.put((), "Succeeded", status, "Why", "m", now_ms=1))
    events = list(webhook_events.of_run("u", "r", SPEC, {"conditions": said, "finishedUnixMs": 7, "version": "v"}))
    assert [one.type for one in events] == ([told] if told else [])


def test_nodes_are_told_of_together_and_do_not_flap() -> None:
    alarm, told = NodeAlarm(), []
    for offline in (0, 10, 11, 12, 9, 6, 5, 4, 8, 11, 100):
        states = {"Online": 100 - offline, "Offline": offline}
        alarm, event = webhook_events.of_nodes(alarm, states, 0.1, "i", 5)
        told.append(event.id if event else "")
    assert told == ["", "", "i.nodes-1-offline", "", "", "", "i.nodes-1-online", "", "", "i.nodes-2-offline", ""]
    assert webhook_events.of_nodes(alarm, {}, 0.1, "i", 5) == (alarm, None), "no node is no alarm, and no end of one"
