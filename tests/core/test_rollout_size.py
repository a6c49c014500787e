"""A rollout over a large fleet fits into its object: who is named is bounded, everyone is counted; and where the nodes'
names alone do not fit, it is said and not tried."""

import json
from dataclasses import replace

import pytest

from skerry.adapters.objects import rules
from skerry.core import rollout, specs
from skerry.core.rollout import permits
from skerry.core.rollout.status import MAX_NAMED

V1, V2 = (
    specs.ModelVersion(f"m-v{number}", "m", number, f"sha256:{number:064x}", f"retrained/m/{number}", "Trained", 1)
    for number in (1, 2)
)
FLEET = specs.EdgeFleet("all", max_unavailable=specs.Amount(100, percent=True))


class Fleet:
    """`count` nodes with names of `chars` characters, and one rollout to all of them at once."""

    def __init__(self, count: int, chars: int = 24, **spec: object) -> None:
        asked = {"model": "m", "version": V2.name, "fleet": "all", "waves": [{"name": "all", "size": "100%"}], **spec}
        self.rollout = specs.parse_rollout("r", asked)
        self.names = [f"edge-{number:06}-{'x' * chars}"[:chars] for number in range(count)]
        self.status, self.events = rollout.Status(), tuple[rollout.Event, ...]()

    def plan(self, target: str = "", reason: str = "", *, but: int = 0, online: bool = True) -> rollout.Plan:
        """Every node, `but` for so many, reports `target` and asks for permission. All are there, or none is."""
        report = specs.ModelReport(
            "m",
            V1.digest,
            1,
            V2.digest if target else "",
            "r" if target else "",
            1 if target else 0,
            specs.TargetState(target),
            reason,
            permit_request=7,
            last_known_good=V1.digest,
        )
        nodes = [specs.EdgeNode(name, connected=True, last_seen_ms=1, reports=(report,)) for name in self.names]
        nodes[:but] = [replace(node, reports=()) for node in nodes[:but]]
        elapsed = rollout.Elapsed(1, dict.fromkeys(self.names, 0 if online else 10**9))
        case = rollout.Case(self.rollout, {V1.name: V1, V2.name: V2}, V1.name, FLEET)
        made = rollout.plan(case, self.status, nodes, None, now_ms=1000, epoch=1, elapsed=elapsed)
        self.status, self.events = (
            rollout.from_json("r", json.loads(json.dumps(rollout.to_json(made.status)))),
            made.events,
        )
        return made

    @property
    def size(self) -> int:
        return len(json.dumps(rollout.to_json(self.status)))


def test_ten_thousand_nodes_that_all_ask_at_once_fit() -> None:
    fleet = Fleet(10_000)
    fleet.plan()
    made = fleet.plan("Staged")
    given = [one for one in made.assignments.values() if one is not None and one.permit is not None]
    assert (len(given), len(fleet.status.permits)) == (permits.MAX_AT_ONCE, permits.MAX_AT_ONCE)
    assert fleet.size < rules.MAX_OBJECT_BYTES


def test_ten_thousand_nodes_that_all_fail_at_once_are_rolled_back_and_counted() -> None:
    fleet = Fleet(10_000)
    fleet.plan()
    fleet.plan("Refused", "the self-test differs: " + "x" * 4000)
    assert (fleet.status.state, fleet.status.why) == ("RolledBack", "TooManyFailures"), "nobody runs it"
    assert (len(fleet.status.failed), fleet.status.waves[0].tally.failed) == (MAX_NAMED, 10_000)
    assert rollout.to_json(fleet.status)["summary"]["failed"] == 10_000
    assert fleet.size < rules.MAX_OBJECT_BYTES
    assert sum(event.reason == "NodeFailed" for event in fleet.events) == MAX_NAMED


def test_failures_that_are_not_named_count_again_in_the_next_look_and_are_told_once() -> None:
    fleet = Fleet(1_000, waves=[{"name": "all", "size": "100%", "maxFailures": "100%"}])
    fleet.plan()
    for told in (MAX_NAMED, 0):
        fleet.plan("Refused", "no", but=300)
        assert (fleet.status.state, fleet.status.waves[0].tally.failed) == ("Progressing", 700)
        assert sum(event.reason == "NodeFailed" for event in fleet.events) == told


def test_a_fleet_that_is_offline_is_named_in_part_and_counted_whole() -> None:
    fleet = Fleet(1_000)
    for told in (MAX_NAMED, 0):
        fleet.plan(online=False)
        assert len(fleet.status.deferred) == MAX_NAMED
        assert fleet.status.waves[0].tally.deferred == 1_000
        assert sum(event.reason == "NodeDeferred" for event in fleet.events) == told


@pytest.mark.parametrize(("count", "chars", "state"), [(300, 253, "Progressing"), (2_000, 253, "Invalid")])
def test_names_that_do_not_fit_are_refused_before_anything_moves(count: int, chars: int, state: str) -> None:
    fleet = Fleet(count, chars)
    made = fleet.plan()
    assert fleet.status.state == state
    if state == "Invalid":
        assert (fleet.status.why, made.assignments) == ("TooManyNodes", {})
        assert "give the model to fleets that are smaller" in fleet.status.why_message
    fleet.plan("Staged")
    assert fleet.size < rules.MAX_OBJECT_BYTES
