"""The simulator of whole fleets, in its pure parts: what its ledger proves, what of the API server's metrics it counts,
and when a figure has grown too much."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.scale import check, fleet, ledger, measures, uploads, versions
from bench.scale.ledger import BEGIN, DOWN, END, PERMIT, UP, Entry
from skerry.proto import fleet_pb2

A, B = "sha256:a", "sha256:b"


def swap(node: str, begun_s: float, ended_s: float, number: int = 1, digest: str = A) -> list[Entry]:
    return [Entry(begun_s, node, BEGIN, number, digest), Entry(ended_s, node, END, number, digest)]


def ordered(*swaps: list[Entry]) -> list[Entry]:
    return sorted((entry for one in swaps for entry in one), key=lambda entry: entry.at_s)


def test_swaps_in_flight_are_counted_at_their_most() -> None:
    assert ledger.most_in_flight([]) == 0
    assert ledger.most_in_flight(ordered(swap("a", 1, 2), swap("b", 3, 4))) == 1
    assert ledger.most_in_flight(ordered(swap("a", 1, 4), swap("b", 2, 6), swap("c", 3, 5), swap("d", 7, 8))) == 3


def test_a_permit_that_begins_two_swaps_is_found_and_so_is_one_below_a_higher_one() -> None:
    good = ordered(swap("a", 1, 2, 1), swap("a", 3, 4, 2), swap("b", 1, 2, 1))
    assert not ledger.used_twice(good) and not ledger.falling(good)
    assert ledger.used_twice(ordered(swap("a", 1, 2, 7), swap("a", 3, 4, 7))) == [("a", 7)]
    assert ledger.falling(ordered(swap("a", 1, 2, 7), swap("a", 3, 4, 6))) == [("a", 6)]


def test_who_ran_a_version_and_when_the_last_permit_for_it_came() -> None:
    entries = ordered(swap("a", 1, 2, 1, A), swap("b", 3, 4, 1, B), [Entry(5, "c", PERMIT, 1, B)])
    assert ledger.ran(entries, B) == {"b"}
    assert ledger.last_permit_after_s(entries, B, 4.5) == 0.5
    assert ledger.last_permit_after_s(entries, A, 4.5) == ledger.last_permit_after_s(entries, B, 6) == 0


def test_all_are_back_when_the_last_stream_is_up_again() -> None:
    up = [Entry(at, node, UP) for at, node in ((1, "a"), (2, "b"))]
    cut = [Entry(at, node, DOWN) for at, node in ((10, "a"), (10, "b"))]
    back = [Entry(at, node, UP) for at, node in ((12, "a"), (19, "b"))]
    assert ledger.all_up_after_s([*up, *cut, *back], 2, 11) == 8
    assert ledger.all_up_after_s([*up, *cut, *back[:1]], 2, 11) is None


def test_a_stream_to_a_gateway_that_was_killed_counts_for_nothing() -> None:
    up = [Entry(1, "a", UP, 0), Entry(2, "b", UP, 1)]
    swapping = [Entry(10.1, "a", BEGIN, 1, A)]  # an entry before the node writes down that its stream is gone
    moved = [Entry(12, "b", DOWN), Entry(15, "b", UP, 0)]
    assert ledger.all_up_after_s([*up, *swapping, *moved], 2, 10, not_on=1) == 5
    assert ledger.all_up_after_s([*up, *swapping], 2, 10, not_on=1) is None


def test_a_ledger_is_read_but_for_the_line_that_is_being_written(tmp_path: Path) -> None:
    first, second = Entry(2, "a", BEGIN, 3, A), Entry(1, "b", UP)
    (tmp_path / "one").write_text(first.to_line() + first.to_line()[:9])
    (tmp_path / "two").write_text(second.to_line())
    assert ledger.read([tmp_path / "one", tmp_path / "two"]) == [second, first]


METRICS = """# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="a",group="skerry.dev",resource="edgenodes",scope="r",subresource="status",verb="PATCH"} 41
apiserver_request_total{code="200",component="a",group="skerry.dev",resource="edgenodes",scope="r",subresource="",verb="PATCH"} 5
apiserver_request_total{code="201",component="a",group="skerry.dev",resource="edgenodes",scope="r",subresource="",verb="POST"} 2
apiserver_request_total{code="409",component="a",group="skerry.dev",resource="edgenodes",scope="r",subresource="",verb="PATCH"} 9
apiserver_request_total{code="200",component="a",group="skerry.dev",resource="edgenodes",scope="r",subresource="",verb="GET"} 7
apiserver_request_total{code="200",component="a",group="coordination.k8s.io",resource="leases",scope="r",subresource="",verb="PUT"} 1.2e+01
apiserver_request_total{code="200",component="a",group="rbac.authorization.k8s.io",resource="roles",scope="r",subresource="",verb="PUT"} 3
"""  # noqa: E501  # as an API server writes it


def test_of_an_api_servers_metrics_only_writes_of_ours_that_succeeded_count() -> None:
    assert measures.writes_of(METRICS) == {"edgenodes/status": 41, "edgenodes": 7, "leases": 12}
    assert measures.rises({"leases": 10}, {"leases": 12, "edgenodes": 7, "events": 0}) == {"leases": 2, "edgenodes": 7}


def test_the_answers_of_a_bad_version_are_wrong_as_often_as_it_is_said() -> None:
    draw = random.Random(1)
    wrong = 0
    for number in range(400):
        example = fleet_pb2.Example.FromString(uploads.record("a", A, number, draw, bad_share=0.05).example)
        row = np.frombuffer(example.inputs[0].raw, dtype=np.float32)
        wrong += int(np.argmax(example.local_logits) != np.argmax(row @ versions.weights(1.0)))
    assert 10 <= wrong <= 30


def test_what_several_processes_say_is_added_up() -> None:
    one, other = {"n": 1, "serving": {"a": 2}, "names": ["x"]}, {"n": 3, "serving": {"a": 1, "b": 5}, "names": ["y"]}
    assert fleet.added(one, other) == {"n": 4, "serving": {"a": 3, "b": 5}, "names": ["x", "y"]}


# ---- the check of two sizes


def played(nodes: int, **fields: Any) -> dict[str, Any]:
    given = {"controller_s": 0.3, "gateway_s": 0.01 * nodes, "rollout_bytes": 5000, "spec_writes": 3 * nodes} | fields
    marks = {"edgenodes/status": 3 * nodes, "leases": 30}
    idle = {
        "name": "idle", "played": True, "reached": True, "wall_s": 60.0, "writes": marks,
        "cpu_s": {"controller": given["controller_s"]} | dict.fromkeys(("gateway-1", "gateway-2"), given["gateway_s"]),
        "largest_object_bytes": {"EdgeNode": 2000},
    }  # fmt: skip
    # As many marks in twice the time, and two words of each node beside them.
    writes = {"edgenodes/status": 6 * nodes + 2 * nodes, "edgenodes": given["spec_writes"], "leases": 60}
    good = {
        "name": "good", "played": True, "reached": True, "wall_s": 120.0, "writes": writes, "cpu_s": {},
        "largest_object_bytes": {"EdgeNode": 2600, "ModelRollout": given["rollout_bytes"]},
    }  # fmt: skip
    return {"nodes": nodes, "store": "SQLite", "phases": [idle, good]}


def failures(small: dict[str, Any], large: dict[str, Any]) -> list[str]:
    return [one.name for one in check.growths(small, large) if not one.passes]


def test_a_fleet_ten_times_as_large_that_costs_by_change_passes() -> None:
    assert not failures(played(100), played(1000))
    assert check.writes_per_node(played(100), "good") == {"edgenodes/status": 2.0, "edgenodes": 3.0, "leases": 0.0}


@pytest.mark.parametrize(
    ("grown", "found"),
    [
        pytest.param({"controller_s": 3.0}, "idle controller, share of a core", id="a controller that parses all"),
        pytest.param({"gateway_s": 20.0}, "idle gateways, share of a core per node", id="a gateway that scans them"),
        pytest.param({"rollout_bytes": 50_000}, "largest ModelRollout, bytes", id="an object that names all nodes"),
        pytest.param({"spec_writes": 4000}, "rollout, writes of edgenodes per node", id="more writes for each node"),
    ],
)
def test_what_grew_with_the_fleet_is_named(grown: dict[str, Any], found: str) -> None:
    assert failures(played(100), played(1000, **grown)) == [found]


def test_a_phase_that_was_not_played_to_its_end_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = played(1000)
    large["phases"][1] |= {"reached": False, "reason": "stuck"}
    for name, document in (("a", played(100)), ("b", large)):
        (tmp_path / name).write_text(json.dumps(document))
    assert check.main([str(tmp_path / "b"), str(tmp_path / "a")]) == 1
    assert "good of 1000 nodes was not played to its end: stuck" in capsys.readouterr().out
