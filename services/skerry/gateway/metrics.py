"""The gateway's numbers for Prometheus. No label ever carries a name from outside: the count of series is fixed."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Numbers:
    """Counters and gauges in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.streams = Gauge("skerry_gateway_streams", "Nodes with an open stream", registry=registry)
        self.reports = Counter("skerry_gateway_reports", "Reports taken", registry=registry)
        self.stale_reports = Counter("skerry_gateway_stale_reports", "Reports ignored as stale", registry=registry)
        self.status_writes = Counter("skerry_gateway_status_writes", "EdgeNode statuses written", registry=registry)
        self.desired_states = Counter("skerry_gateway_desired_states", "Desired states sent", registry=registry)
        self.accepted = Counter("skerry_gateway_records_accepted", "Uploaded records accepted", registry=registry)
        self.refused = Counter("skerry_gateway_records_refused", "Uploaded records refused", registry=registry)
        self.failed = Counter("skerry_gateway_uploads_failed", "Uploads that storage did not take", registry=registry)
        self.objects_silent_s = Gauge(
            "skerry_gateway_objects_silent_seconds", "Since the object store answered last", registry=registry
        )

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)
