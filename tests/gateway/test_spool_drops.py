"""Drops of nodes' spools are counted once, over their restarts, and never invented."""

from skerry.adapters.telemetry.metrics import Metrics
from skerry.gateway import spool_drops
from skerry.proto import edge_pb2, fleet_pb2


def test_only_what_was_dropped_between_two_reports_counts() -> None:
    counter = Metrics().counter("skerry_gateway_spool_dropped_total", "Drops.")
    drops = spool_drops.SpoolDrops(counter)

    def report(node: str, dropped: int) -> None:
        drops.heard(fleet_pb2.NodeReport(node=node, spool=edge_pb2.SpoolState(dropped=dropped)))

    for node, dropped in (("a", 40), ("b", 0), ("a", 43), ("b", 2), ("a", 43), ("a", 1), ("a", 2)):
        report(node, dropped)
    drops.heard(fleet_pb2.NodeReport(node="c"))
    assert counter.value() == 3 + 2 + 1, "what was dropped before, or by a spool made anew, is not counted again"


def test_of_how_many_nodes_it_remembers_is_bounded() -> None:
    drops = spool_drops.SpoolDrops(Metrics().counter("d", "Drops."))
    for number in range(spool_drops._MAX_NODES + 10):
        drops.heard(fleet_pb2.NodeReport(node=f"n{number}", spool=edge_pb2.SpoolState()))
    assert len(drops._dropped) == spool_drops._MAX_NODES
