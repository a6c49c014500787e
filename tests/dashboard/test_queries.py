"""What the page and the commands show is read from objects and readings: nothing wrong in one hides another."""

import json
from collections.abc import Callable, Mapping

import pytest
import seeded_fleet

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors, writers
from skerry.core.liveness import State
from skerry.dashboard import pages, queries, views

NOW = 1_790_000_000_000


class GoneFleetState(MemoryFleetState):
    def get(self, *groups: str) -> Mapping[str, str]:
        raise errors.UnavailableError("Redis did not answer")


@pytest.fixture
def store() -> MemoryObjects:
    made = MemoryObjects()
    seeded_fleet.seed(made, NOW)
    return made


@pytest.fixture
def state() -> MemoryFleetState:
    made = MemoryFleetState()
    seeded_fleet.seed_readings(made, NOW)
    return made


def nodes(fleet: views.Fleet) -> dict[str, views.Node]:
    return {node.name: node for node in fleet.nodes}


def test_every_node_has_one_state_and_the_counts_add_up(store: MemoryObjects, state: MemoryFleetState) -> None:
    fleet = queries.fleet(store, state, now_ms=NOW)
    states = {name: node.liveness.state for name, node in nodes(fleet).items()}
    assert states == {
        "edge-1": State.ONLINE,
        "edge-2": State.ONLINE,
        "edge-3": State.STALE,
        "edge-4": State.OFFLINE,
        "edge-5": State.UNKNOWN,
    }
    assert sum(fleet.counts.values()) == len(fleet.nodes) == 5
    assert [node.name for node in fleet.nodes][:2] == ["edge-4", "edge-5"]  # those that need a look come first


def test_when_the_heartbeats_stop_every_node_that_was_seen_becomes_offline(
    store: MemoryObjects, state: MemoryFleetState
) -> None:
    fleet = queries.fleet(store, state, now_ms=NOW + 60_000)
    assert fleet.counts == {State.ONLINE: 0, State.STALE: 0, State.OFFLINE: 4, State.UNKNOWN: 1}


def test_readings_and_reports_come_together(store: MemoryObjects, state: MemoryFleetState) -> None:
    node = nodes(queries.fleet(store, state, now_ms=NOW))["edge-3"]
    [serving] = node.serving
    assert serving.version == 2
    assert serving.reading is not None
    assert serving.reading.offload_rate == pytest.approx(39 / 200)
    assert serving.reading.mean_confidence == pytest.approx(0.915, abs=0.01)
    assert node.spool == views.Spool(4, 3136, 900, 7, 896)


def test_without_readings_the_rest_is_shown_and_the_trouble_told(store: MemoryObjects) -> None:
    fleet = queries.fleet(store, GoneFleetState(), now_ms=NOW)
    assert [text for text in fleet.trouble if "Redis did not answer" in text]
    assert nodes(fleet)["edge-1"].serving[0].version == 3
    assert nodes(fleet)["edge-1"].serving[0].reading is None
    assert nodes(fleet)["edge-1"].spool is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut"),
        pytest.param("[1]", id="a list"),
        pytest.param("[" * 100_000, id="nested without end"),
        pytest.param(
            '{"requests": "many", "offloaded": null, "confidenceCounts": 7, "p50Ms": "fast"}', id="no numbers"
        ),
        pytest.param('{"requests": -5, "offloaded": -1, "p50Ms": NaN, "p99Ms": 1e300}', id="numbers out of range"),
        pytest.param('{"requests": true, "confidenceCounts": ["a", {}, -3]}', id="wrong types within"),
    ],
)
def test_a_reading_that_is_none_is_no_reading(store: MemoryObjects, state: MemoryFleetState, text: str) -> None:
    state.put("node:edge-1:digits", text, ttl_s=60)
    state.put("spool:edge-1", text, ttl_s=60)
    node = nodes(queries.fleet(store, state, now_ms=NOW))["edge-1"]
    reading = node.serving[0].reading
    assert reading is None or (reading.requests == 0 and reading.offload_rate is None and reading.p50_ms is None)
    assert reading is None or reading.mean_confidence is None


def _bad_node(store: MemoryObjects) -> None:
    store.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"models": [{"model": "digits", "version": "x"}]})


def _bad_rollout(store: MemoryObjects) -> None:
    store.create(
        "ModelRollout", "bad", {"model": "digits", "version": "digits-v3", "wavs": []}, manager=writers.OPERATOR
    )


def _bad_conditions(store: MemoryObjects) -> None:
    store.patch("TrainingRun", "digits-run-3", manager=writers.CONTROLLER, status={"conditions": "yes"})


def _bad_model(store: MemoryObjects) -> None:
    store.patch("EdgeModel", "digits", manager=writers.OPERATOR, spec={"input": {"datatype": "WHAT"}})


def _bad_verdict(store: MemoryObjects) -> None:
    verdict = {"outcome": "Pass", "gates": ["oops", {"name": 7}]}
    spec = {"model": "digits", "version": 9, "digest": "sha256:" + "9" * 64, "targetPath": "x", "verdict": verdict}
    store.create("ModelVersion", "digits-v9", spec, manager=writers.CONTROLLER)


@pytest.mark.parametrize("spoil", [_bad_node, _bad_rollout, _bad_conditions, _bad_model, _bad_verdict])
def test_an_object_that_cannot_be_read_hides_no_other(
    store: MemoryObjects, state: MemoryFleetState, spoil: Callable[[MemoryObjects], None]
) -> None:
    before = queries.fleet(store, state, now_ms=NOW)
    spoil(store)
    after = queries.fleet(store, state, now_ms=NOW)
    for kind in ("nodes", "models", "runs"):
        assert {one.name for one in getattr(before, kind)} == {one.name for one in getattr(after, kind)}
    assert {one.name for one in before.rollouts} <= {one.name for one in after.rollouts}


def test_what_is_wrong_with_an_object_is_told_in_its_row(store: MemoryObjects, state: MemoryFleetState) -> None:
    for spoil in (_bad_node, _bad_rollout, _bad_model):
        spoil(store)
    fleet = queries.fleet(store, state, now_ms=NOW)
    assert "version" in nodes(fleet)["edge-1"].fault
    assert "wavs" in next(one.fault for one in fleet.rollouts if one.name == "bad")
    assert "input.datatype" in fleet.models[0].fault


def test_the_ladder_shows_where_the_rollout_stands(store: MemoryObjects, state: MemoryFleetState) -> None:
    fleet = queries.fleet(store, state, now_ms=NOW)
    running, failed = (next(one for one in fleet.rollouts if one.ended is ended) for ended in (False, True))
    assert [(wave.name, wave.step) for wave in running.waves] == [
        ("canary", "current"),
        ("half", "waiting"),
        ("rest", "waiting"),
    ]
    assert running.deferred == ("edge-4",)
    assert running.waves[0].soaking
    assert (failed.phase, failed.message) == ("RolledBack", "1 node failed, 0 are allowed")
    assert [wave.step for wave in failed.waves] == ["failed"]


def test_a_rollout_that_nobody_planned_yet_shows_its_waves_waiting(
    store: MemoryObjects, state: MemoryFleetState
) -> None:
    store.create("ModelRollout", "fresh", {"model": "digits", "version": "digits-v3"}, manager=writers.OPERATOR)
    fresh = next(one for one in queries.fleet(store, state, now_ms=NOW).rollouts if one.name == "fresh")
    assert [(wave.name, wave.step) for wave in fresh.waves] == [
        ("canary", "waiting"),
        ("tenth", "waiting"),
        ("rest", "waiting"),
    ]


def test_versions_know_how_many_nodes_report_them(store: MemoryObjects, state: MemoryFleetState) -> None:
    [model] = queries.fleet(store, state, now_ms=NOW).models
    assert [(one.version, one.nodes, one.stable) for one in model.versions] == [
        (3, 1, False),
        (2, 3, True),
        (1, 0, False),
    ]


def test_what_changed_is_told_newest_first_and_bounded(store: MemoryObjects, state: MemoryFleetState) -> None:
    for number in range(60):
        store.create("EdgeNode", f"more-{number}", {}, manager=writers.GATEWAY)
    changes = queries.fleet(store, state, now_ms=NOW).changes
    assert len(changes) == 40
    assert [one.at_ms for one in changes] == sorted((one.at_ms for one in changes), reverse=True)
    texts = {(one.subject, one.good): one.text for one in changes}
    assert texts["TrainingRun digits-run-3", True] == "succeeded: digits-v3 passed its gates"
    assert json.dumps(texts[("ModelRollout digits-v1-auto", False)]).startswith('"did not succeed: 1 node failed')


def test_a_phantom_and_a_revoked_node_are_listed_and_not_counted(store: MemoryObjects, state: MemoryFleetState) -> None:
    store.create("EdgeNode", "phantom", {"approvedKey": ""}, manager=writers.GATEWAY)
    store.patch("EdgeNode", "phantom", manager=writers.GATEWAY, status={"waitingKey": "sha256:" + "9" * 64})
    store.patch("EdgeNode", "edge-4", manager=writers.OPERATOR, spec={"revoked": True})
    fleet = queries.fleet(store, state, now_ms=NOW)
    assert fleet.counts == {State.ONLINE: 2, State.STALE: 1, State.OFFLINE: 0, State.UNKNOWN: 1}
    assert fleet.others == 2
    assert nodes(fleet)["phantom"].notes == ["no key of it is approved", "waits for approval"]
    assert nodes(fleet)["edge-4"].notes == ["revoked"]


def test_two_agents_under_one_name_are_told_on_the_node(store: MemoryObjects, state: MemoryFleetState) -> None:
    told = {"type": "NameConflict", "status": "True", "reason": "TwoAgents", "message": "two agents run as edge-1"}
    store.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"conditions": [told]})
    node = nodes(queries.fleet(store, state, now_ms=NOW))["edge-1"]
    assert node.notes == ["two agents have this name"]
    assert node.name_conflict is not None
    assert "two agents run as edge-1" in pages.overview(queries.fleet(store, state, now_ms=NOW))


def test_a_model_whose_labels_are_behind_says_so(store: MemoryObjects, state: MemoryFleetState) -> None:
    model = store.get("EdgeModel", "digits")
    listed = model.status.get("conditions", [])
    for reason, status, told in (("NoTeacher", "False", True), ("Current", "True", False), ("SetAside", "True", True)):
        labels = {"type": "LabelsCurrent", "status": status, "reason": reason, "message": f"it is {reason}"}
        store.patch("EdgeModel", "digits", manager=writers.CONTROLLER, status={"conditions": [*listed, labels]})
        fleet = queries.fleet(store, state, now_ms=NOW)
        assert (f"it is {reason}" in pages.overview(fleet)) == told


@pytest.mark.parametrize(
    ("counts", "age_ms", "note"),
    [
        pytest.param({"UnknownModel": 1, "HeldBack": 9}, 0, ["uploads refused"], id="what was refused"),
        pytest.param({"ClockOff": 3}, 0, ["its clock is wrong"], id="a clock"),
        pytest.param({"HeldBack": 9}, 0, [], id="what comes later is no trouble"),
        pytest.param({"UnknownModel": 1}, 86_400_000, [], id="yesterday's is over"),
    ],
)
def test_a_node_whose_uploads_are_not_taken_says_so(
    store: MemoryObjects, state: MemoryFleetState, counts: dict[str, int], age_ms: int, note: list[str]
) -> None:
    refusals = {"counts": counts, "message": "x", "atUnixMs": NOW - age_ms}
    store.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"refusals": refusals})
    assert nodes(queries.fleet(store, state, now_ms=NOW))["edge-1"].notes == note
