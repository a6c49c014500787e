"""How many examples the nodes here dropped since their reports before, from totals that rise: a full spool, which
nobody else in the cloud would see."""

from skerry.adapters.telemetry.metrics import Counter
from skerry.proto import fleet_pb2

_MAX_NODES = 50_000  # whose totals are remembered; who was heard of the longest ago goes first


class SpoolDrops:
    """Totals outlive the node's process; of a spool that was made anew, and of a node that is heard of for the first
    time, the first report only says where to count from."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._dropped: dict[str, int] = {}

    def heard(self, report: fleet_pb2.NodeReport) -> None:
        if not report.HasField("spool"):
            return
        before = self._dropped.pop(report.node, None)
        self._dropped[report.node] = now = report.spool.dropped
        if before is not None and now > before:
            self._counter.add((), now - before)
        elif before is None and len(self._dropped) > _MAX_NODES:
            del self._dropped[next(iter(self._dropped))]
