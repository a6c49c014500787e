"""What a rollout keeps does not grow with its fleet: who is named is bounded, everyone is counted, and permits live on
the nodes. And how often it is written."""

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from skerry.core import rollout, specs
from skerry.core.rollout import waves, writing
from skerry.core.rollout.status import MAX_NAMED

V1, V2 = (
    specs.ModelVersion(f"m-v{number}", "m", number, f"sha256:{number:064x}", f"retrained/m/{number}", "Trained", 1)
    for number in (1, 2)
)
ALL_AT_ONCE = specs.EdgeFleet("all", max_unavailable=specs.Amount(100, percent=True))
MAX_BYTES = 16 * 1024
LONGEST = 120  # characters of a name (`core.names`)
ONE_WAVE = [{"name": "all", "size": "100%", "maxFailures": "100%"}]


class Fleet:
    """`count` nodes with names of `chars` characters, and one rollout to all of them at once."""

    def __init__(self, count: int, chars: int = 24, name: str = "r", **spec: object) -> None:
        asked = {"model": "m", "version": V2.name, "fleet": "all", "waves": [{"name": "all", "size": "100%"}], **spec}
        self.rollout = specs.parse_rollout(name, asked)
        self.names = [f"edge-{number:06}-{'x' * chars}"[:chars] for number in range(count)]
        self.fleet, self.clock_ms, self.writes = ALL_AT_ONCE, 1, 0
        self.labels: dict[str, dict[str, str]] = {}
        self.created_ms: dict[str, int] = {}
        self.given: dict[str, specs.Assignment] = {}
        self.status, self.events = rollout.Status(), tuple[rollout.Event, ...]()

    def plan(
        self, target: str = "", reason: str = "", *, but: int = 0, online: bool = True, on: Iterable[str] = ()
    ) -> rollout.Plan:
        """A second later: every node, `but` for so many, reports `target` and asks for permission; those of `on` run
        the version. All are there, or none is."""
        self.clock_ms += 1000
        nodes = [self._node(name, target, reason) for name in self.names]
        nodes[:but] = [replace(node, reports=()) for node in nodes[:but]]
        on = frozenset(on)
        nodes = [replace(node, reports=(_runs(node),)) if node.name in on else node for node in nodes]
        elapsed = rollout.Elapsed(self.clock_ms, dict.fromkeys(self.names, 0 if online else 10**9))
        case = rollout.Case(self.rollout, {V1.name: V1, V2.name: V2}, V1.name, self.fleet)
        made = rollout.plan(case, self.status, nodes, None, now_ms=self.clock_ms, epoch=1, elapsed=elapsed)
        self.writes += made.status != self.status
        self.given |= {name: one for name, one in made.assignments.items() if one is not None}
        self.status = rollout.from_json("r", json.loads(json.dumps(rollout.to_json(made.status))))
        assert self.status == made.status
        self.events = made.events
        return made

    def _node(self, name: str, target: str, reason: str) -> specs.EdgeNode:
        state = specs.TargetState(target)
        told = (V2.digest, self.rollout.name, 1) if target else ("", "", 0)
        report = specs.ModelReport("m", V1.digest, 1, *told, state, reason, permit_request=7, last_known_good=V1.digest)
        held = (self.given[name],) if name in self.given else ()
        labels, created_ms = self.labels.get(name, {}), self.created_ms.get(name, 5)
        return specs.EdgeNode(
            name,
            labels,
            connected=True,
            last_seen_ms=1,
            created_ms=created_ms,
            assignments=held,
            reports=(report,),
        )

    @property
    def size(self) -> int:
        return len(json.dumps(rollout.to_json(self.status))) + len(json.dumps({"spec": repr(self.rollout.strategy)}))

    def permitted(self) -> set[str]:
        return {name for name, one in self.given.items() if one.permit is not None and one.digest == V2.digest}

    def members(self) -> list[set[str]]:
        """Of each wave, by what is assigned and by places."""
        return [{name for name in self.names if self._wave(name) == index} for index in range(len(self.status.waves))]

    def _wave(self, name: str) -> int:
        for index, wave in enumerate(self.status.waves):
            if name in wave.nodes:
                return index
        at = waves.place(self.rollout.name, 1, name)
        return next(index for index, wave in enumerate(self.status.waves) if wave.upto and at < wave.upto)


def _runs(node: specs.EdgeNode) -> specs.ModelReport:
    told = replace(node.report("m"), digest=V2.digest, version=2, target_state=specs.TargetState.SERVING)
    number = max((one.permit.number for one in node.assignments if one.permit), default=0)
    return replace(told, permit_request=0, highest_permit=number, target_digest=V2.digest, target_attempt=1)


@pytest.mark.parametrize("nodes", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_nodes_that_all_ask_at_once_have_their_permits_on_them_and_not_in_the_status(nodes: int) -> None:
    fleet, sizes, before = Fleet(nodes), list[int](), 0
    fleet.plan()
    for _ in range(20):
        fleet.plan("Staged")
        assert len(fleet.permitted()) > before, "each look grants more"
        before = len(fleet.permitted())
        sizes.append(fleet.size)
    assert len(fleet.permitted()) > 800 and max(sizes) < MAX_BYTES / 2
    assert len({one.permit.number for one in fleet.given.values() if one.permit}) == len(fleet.permitted())
    assert len(fleet.status.permits) < 100, "only the last round"


def test_the_status_is_as_large_at_ten_thousand_nodes_as_at_a_thousand() -> None:
    sizes = []
    for count in (1_000, 10_000):
        fleet = Fleet(count, waves=[{"name": "canary", "size": "1"}, {"name": "rest", "size": "100%"}])
        fleet.plan()
        for _ in range(3):
            fleet.plan("Staged")
        canary = fleet.status.waves[0].nodes
        assert len(canary) == 1 and fleet.permitted() == set(canary)
        sizes.append(fleet.size)
    assert sizes[1] < 1.1 * sizes[0] and sizes[1] < MAX_BYTES


@pytest.mark.parametrize("state", ["Refused", "Incompatible", "Staged"])
def test_the_longest_names_and_texts_fit(state: str) -> None:
    """Twenty waves, names as long as they may be."""
    name = "w" * LONGEST
    steps = [
        {"name": f"{index:02}{name}"[:60], "size": f"{5 * index}%", "maxFailures": "100%"} for index in range(1, 21)
    ]
    fleet = Fleet(10_000, LONGEST, "r" * LONGEST, waves=steps)
    fleet.plan()
    fleet.plan(state, "it differs: " + "x" * 4000)
    fleet.plan(state, "it differs: " + "x" * 4000, online=False)
    assert len(json.dumps(rollout.to_json(fleet.status))) < MAX_BYTES


def test_ten_thousand_nodes_that_all_fail_at_once_are_rolled_back_and_counted() -> None:
    fleet = Fleet(10_000)
    fleet.plan()
    fleet.plan("Refused", "the self-test differs: " + "x" * 4000)
    assert (fleet.status.state, fleet.status.why) == ("RolledBack", "TooManyFailures"), "nobody runs it"
    assert (len(fleet.status.failed), fleet.status.waves[0].tally.failed) == (8, 10_000)
    shown = rollout.to_json(fleet.status)
    assert shown["summary"]["failed"] == 10_000
    assert [one["nodes"] for one in shown["failures"]] == [10_000]
    assert fleet.size < MAX_BYTES
    assert sum(event.reason == "NodeFailed" for event in fleet.events) == 8


def test_failures_that_are_not_named_count_again_in_the_next_look_and_are_told_once() -> None:
    fleet = Fleet(1_000, waves=ONE_WAVE)
    fleet.plan()
    for told in (MAX_NAMED, 0):
        fleet.plan("Refused", "no", but=300)
        assert (fleet.status.state, fleet.status.waves[0].tally.failed) == ("Progressing", 700)
        assert sum(event.reason == "NodeFailed" for event in fleet.events) == told


def test_what_failed_at_once_counts_for_good_though_nobody_says_so_any_more() -> None:
    fleet = Fleet(1_000, waves=[{"name": "all", "size": "100%", "maxFailures": "50%"}])
    fleet.plan()
    fleet.plan("Refused", "no", but=600)
    for _ in range(40):
        fleet.plan("Staged")
    assert fleet.status.waves[0].most_failed == 400 and fleet.status.waves[0].tally.failed == MAX_NAMED


def test_a_fleet_that_is_offline_is_named_in_part_and_counted_whole() -> None:
    fleet = Fleet(1_000)
    for told in (MAX_NAMED, 0):
        fleet.plan(online=False)
        assert len(fleet.status.deferred) == MAX_NAMED
        assert fleet.status.waves[0].tally.deferred == 1_000
        assert sum(event.reason == "NodeDeferred" for event in fleet.events) == told


# ---- membership


def test_a_small_fleet_is_named_and_a_large_one_cut_into_waves_of_the_sizes_that_were_asked_for() -> None:
    steps = [{"name": "a", "size": "1"}, {"name": "b", "size": "10%"}, {"name": "c", "size": "100%"}]
    for count, named in ((100, [1, 9, 90]), (1_000, [1, 0, 0]), (10_000, [1, 0, 0])):
        fleet = Fleet(count, waves=steps)
        fleet.plan()
        assert [len(wave.nodes) for wave in fleet.status.waves] == named
        sizes = [1, count // 10 - 1, count - count // 10]
        assert [wave.size for wave in fleet.status.waves] == sizes == [len(one) for one in fleet.members()]


def test_a_canary_whose_names_do_not_fit_is_cut_too() -> None:
    fleet = Fleet(1_000, waves=[{"name": "canary", "size": "50%"}, {"name": "rest", "size": "100%"}])
    fleet.plan()
    assert [(wave.nodes, wave.size) for wave in fleet.status.waves] == [((), 500), ((), 500)]
    fleet.plan("Staged")
    assert fleet.permitted() <= fleet.members()[0] and fleet.permitted()


def test_who_joins_in_mid_rollout_is_in_no_wave_and_deleted_ones_leave_it() -> None:
    fleet = Fleet(1_000)
    fleet.plan()
    fleet.created_ms = {"late": 6}
    fleet.names = [*fleet.names[100:], "late"]
    for _ in range(35):
        fleet.plan("Staged")
    assert fleet.status.waves[0].tally.members == 900 and fleet.status.waves[0].size == 1_000
    assert fleet.given["late"].digest == V1.digest, "it gets the stable version, and catches up afterwards"


def test_a_selector_that_changes_in_mid_rollout_takes_nodes_out_of_waves_and_brings_none_in() -> None:
    fleet = Fleet(2_000)
    fleet.labels = {name: {"site": "a" if index % 2 else "b"} for index, name in enumerate(fleet.names)}
    fleet.fleet = replace(ALL_AT_ONCE, selector={"site": "a"})
    fleet.plan()
    assert fleet.status.waves[0].size == 1_000
    fleet.fleet = ALL_AT_ONCE
    for _ in range(35):
        made = fleet.plan("Staged")
    assert fleet.status.waves[0].tally.members == 1_000
    newcomers = {name for name in fleet.names if fleet.labels[name]["site"] == "b"}
    assert {made.assignments[name].digest for name in newcomers} == {V1.digest}  # type: ignore[union-attr]
    fleet.fleet = replace(ALL_AT_ONCE, selector={"site": "b"})
    fleet.plan("Staged")
    assert fleet.status.pause_reasons == ("EmptyWave",), "nobody is left of it"


def test_a_selector_too_large_to_keep_is_refused_before_anything_moves() -> None:
    fleet = Fleet(10)
    fleet.fleet = replace(ALL_AT_ONCE, selector={f"label-{index}": "x" * 60 for index in range(20)})
    fleet.labels = {name: dict(fleet.fleet.selector) for name in fleet.names}
    made = fleet.plan()
    assert (fleet.status.state, fleet.status.why, made.assignments) == ("Invalid", "SelectorTooLarge", {})
    assert "select by fewer labels" in fleet.status.why_message


# ---- writes


def test_counts_alone_are_written_seldom_in_a_large_fleet_and_each_in_a_small_one() -> None:
    for count, most in ((100, 31), (1_000, 3)):
        fleet = Fleet(count, waves=[{"name": "all", "size": "100%"}])
        fleet.fleet = replace(ALL_AT_ONCE, max_unavailable=specs.Amount(1))
        fleet.plan()
        fleet.writes = 0
        for done in range(30):
            fleet.plan("Staged", on=fleet.names[: done // 4])
        assert fleet.writes <= most + 8, "a permit is a write, a count is none"


def test_permits_to_a_large_fleet_are_a_write_a_second_at_most() -> None:
    fleet = Fleet(1_000)
    fleet.plan()
    fleet.clock_ms -= 700
    assert not any(one and one.permit for one in fleet.plan("Staged").assignments.values())
    assert any(one and one.permit for one in fleet.plan("Staged").assignments.values())
    assert writing.GRANT_EVERY_MS == 1_000


def test_each_node_is_written_twice_in_a_rollout() -> None:
    """Staged and permitted; the permit stands when it is over."""
    fleet = Fleet(1_000)
    fleet.plan()
    written, held = dict.fromkeys(fleet.names, 1), dict(fleet.given)
    for _ in range(60):
        fleet.plan("Staged", on=fleet.permitted())
        for name, one in fleet.given.items():
            written[name] += one != held[name]
        held = dict(fleet.given)
    assert fleet.status.waves[0].tally.updated == 1_000
    assert set(written.values()) == {2}
