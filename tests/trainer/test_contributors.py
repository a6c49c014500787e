"""What a run tells of the nodes that gave its rows, in a fleet of any size."""

import json

from skerry.core import contract, datasets
from skerry.core.gates import Outcome
from skerry.trainer import contributors

HOSTILE = "cam-17000"
FLEET = {f"cam-{index:05}": datasets.NodeRows(60, 6, 1, 1, 9, 9, 9, "x" * 256) for index in range(datasets.MAX_NODES)}


def test_a_report_tells_of_those_that_were_held_back_most_and_how_many_there_are() -> None:
    nodes = FLEET | {HOSTILE: datasets.NodeRows(60, 6, left_out=1400)}
    report = contributors.report_of(nodes)
    assert report["contributorCount"] == datasets.MAX_NODES
    assert len(report["contributors"]) == contributors.MAX_REPORTED
    assert report["contributors"][HOSTILE]["leftOut"] == 1400
    assert len(json.dumps(report)) < contract.MAX_PROPOSAL_BYTES / 8


def test_all_of_a_small_fleet_is_told() -> None:
    nodes = {"cam-1": datasets.NodeRows(60, 6), "cam-2": datasets.NodeRows(50, 5, waiting=3)}
    assert contributors.report_of(nodes) == {
        "contributorCount": 2,
        "contributors": {node: rows.to_json() for node, rows in nodes.items()},
    }


def test_what_waits_is_told_of_ten_nodes_and_how_many_more_there_are() -> None:
    (gate,) = contributors.waiting(FLEET)
    assert gate.outcome is Outcome.PASS and len(gate.reason) < 8192
    assert "1 rows of a class that only cam-00000 has; " in gate.reason
    assert f"; and {2 * datasets.MAX_NODES - 10} more: left out until" in gate.reason
    assert contributors.waiting({"cam-1": datasets.NodeRows(60, 6)}) == []
