"""What the serving path counts, for Prometheus. Labels: model and version as loaded here, outcome from a fixed list."""

from skerry.adapters.telemetry.metrics import SECONDS, SIZES, Counter, Labels, Metrics, Series
from skerry.core import errors

OTHER = "unknown"  # instead of a model name that a caller made up


class ServingMetrics:
    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.requests = metrics.counter(
            "skerry_requests_total", "Inference requests by outcome.", ("model", "version", "outcome")
        )
        self.queue_s = metrics.histogram(
            "skerry_queue_seconds", "How long the oldest request of a run waited.", ("model", "version"), SECONDS
        )
        self.run_s = metrics.histogram(
            "skerry_run_seconds", "One run of a network, whatever its batch.", ("model", "version"), SECONDS
        )
        self.batch_rows = metrics.histogram("skerry_batch_rows", "Rows in one run.", ("model", "version"), SIZES)
        self.not_finite = metrics.counter(
            "skerry_not_finite_total", "Answers withheld because of NaN or an infinity.", ("model", "version")
        )
        self.stopped = metrics.counter(
            "skerry_runs_stopped_total",
            "Runs that did not end in time, or that nobody waited for any more.",
            ("model", "version"),
        )
        self.swaps = metrics.counter("skerry_swaps_total", "Versions that began to serve.", ("model",))
        self.load_failures = metrics.counter("skerry_load_failures_total", "Versions that were not loaded.", ("model",))
        self.malformed = metrics.counter("skerry_malformed_requests_total", "Requests that could not be read.")

    def runs(self, labels: Labels) -> "Runs":
        """What the runs of one version count."""
        run_s, rows, queue_s = (family.series(labels) for family in (self.run_s, self.batch_rows, self.queue_s))
        return Runs(run_s, rows, queue_s, self.requests, labels)


class Runs:
    """The runs of one version, whose series are looked up once."""

    def __init__(self, run_s: Series, rows: Series, queue_s: Series, requests: Counter, labels: Labels) -> None:
        self._run_s, self._rows, self._queue_s, self._requests = run_s, rows, queue_s, requests
        self._answered = (*labels, "ok")

    def ran(self, seconds: float, rows: int, waited_s: float, answered: int) -> None:
        self._run_s.observe(seconds)
        self._rows.observe(rows)
        self._queue_s.observe(waited_s)
        self._requests.add(self._answered, answered)


def outcome_of(error: errors.SkerryError) -> str:
    """The label of a failure: the name of its class, from the fixed list of `core.errors`."""
    for kind in type(error).__mro__:
        if kind.__module__ == errors.__name__:
            return kind.__name__.removesuffix("Error").lower()
    return "error"
