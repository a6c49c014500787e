"""The gateway's counters and gauges for Prometheus. No label ever carries a name from outside: the count of series is
fixed."""

from skerry.adapters.telemetry import metrics
from skerry.core import uploads
from skerry.gateway import spool_drops


class Instruments:
    """Of one process. `streams` and `objects_silent_s` are set by whoever knows them."""

    def __init__(self) -> None:
        self._families = families = metrics.Metrics("gateway")
        self.streams = 0
        self.objects_silent_s = 0.0
        self.reports = families.counter("skerry_gateway_reports_total", "Reports taken")
        self.hasty_reports = families.counter(
            "skerry_gateway_hasty_reports_total", "Reports passed over, of nodes that send too many"
        )
        self.stale_reports = families.counter("skerry_gateway_stale_reports_total", "Reports ignored as stale")
        self.status_writes = families.counter("skerry_gateway_status_writes_total", "EdgeNode statuses written")
        self.desired_states = families.counter("skerry_gateway_desired_states_total", "Desired states sent")
        self.accepted = families.counter("skerry_gateway_records_accepted_total", "Uploaded records accepted")
        self.refused = families.counter("skerry_gateway_records_refused_total", "Uploaded records refused")
        self.upload_faults = families.counter(
            "skerry_gateway_upload_faults_total",
            "Uploaded records refused, by reason; ClockOff: taken with a time that cannot be, HeldBack: requests cut "
            "short because the node sends more than it may",
            ("reason",),
        )
        self.name_conflicts = families.counter(
            "skerry_gateway_name_conflicts_total", "Streams refused since another agent holds the node's name"
        )
        self.spool_dropped = families.counter(
            "skerry_gateway_spool_dropped_total",
            "Examples that nodes dropped because their spool was full, as their reports here say",
        )
        self.spools = spool_drops.SpoolDrops(self.spool_dropped)
        self.failed = families.counter("skerry_gateway_uploads_failed_total", "Uploads that storage did not take")
        for counter in (
            self.reports, self.stale_reports, self.status_writes, self.desired_states, self.accepted, self.refused,
            self.failed, self.name_conflicts, self.hasty_reports, self.spool_dropped,
        ):  # fmt: skip
            counter.add((), 0)  # shown from the start: a rate needs a zero to rise from
        for fault in uploads.Fault:
            self.upload_faults.add((fault.value,), 0)
        families.gauge("skerry_gateway_streams", "Nodes with an open stream", (), lambda: {(): float(self.streams)})
        families.gauge(
            "skerry_gateway_objects_silent_seconds",
            "Since the object store answered last",
            (),
            lambda: {(): self.objects_silent_s},
        )

    def render(self) -> bytes:
        """The exposition format of Prometheus."""
        return self._families.render()
