"""What the agent counts for Prometheus beside the serving path: read from the parts when asked, never kept twice."""

from skerry.adapters.telemetry.metrics import Metrics
from skerry.agent import membership
from skerry.agent.capture import capture_queue
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.cascade import Cascade
from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.sync import stream
from skerry.agent.sync.load_window import LoadWindow
from skerry.agent.update import updater
from skerry.agent.warning_watch import WarningWatch
from skerry.core.offload import Circuit
from skerry.proto import fleet_pb2

_OPEN = {Circuit.CLOSED: 0.0, Circuit.HALF_OPEN: 0.5, Circuit.OPEN: 1.0}


def register_capture(metrics: Metrics, queue: capture_queue.CaptureQueue, residual_memory: ResidualMemory) -> None:
    """The gauges of an agent that need no state folder."""
    metrics.total(
        "skerry_capture_refused_total", "Answers that found no room in queue or disk since the start.", (),
        lambda: {(): queue.refused},
    )  # fmt: skip
    metrics.total(
        "skerry_capture_too_large_total", "Rows that were not kept: no upload could hold them, since the start.",
        ("model",), lambda: {(model,): float(count) for model, count in queue.too_large.items()},
    )  # fmt: skip
    metrics.total(
        "skerry_forecasts_not_awaited_total", "Forecasts without room to wait for their truth since the start.", (),
        lambda: {(): residual_memory.not_awaited},
    )  # fmt: skip
    metrics.gauge(
        "skerry_standing_by", "1: another agent holds the state folder, this one serves beside it.", (),
        lambda: {(): float(queue.is_standing_by)},
    )  # fmt: skip


def register_warnings(metrics: Metrics, watch: WarningWatch) -> None:
    """The gauges of what is warned of, with and without a cloud."""

    def raised() -> dict[tuple[str, ...], float]:
        now = [one.model for one in watch.raised()]
        return {(model,): float(now.count(model)) for model in watch.models}

    metrics.gauge("skerry_warnings", "Series of the model that are warned of now.", ("model",), raised)
    metrics.total(
        "skerry_warnings_raised_total", "Warnings raised since the start.", ("model",),
        lambda: {(model,): float(watch.totals[model]) for model in watch.models},
    )  # fmt: skip
    metrics.total(
        "skerry_warnings_not_kept_total", "Warnings beyond the bound, which nothing else tells of.", (),
        lambda: {(): float(watch.not_kept)},
    )  # fmt: skip


def register(
    metrics: Metrics,
    spool_thread: SpoolThread,
    load: LoadWindow,
    sync: stream.SyncLoop,
    updates: updater.Updater,
) -> None:
    """The gauges of an agent that holds its state folder and is linked to its gateway."""
    register_load(metrics, load)
    metrics.gauge(
        "skerry_spool_pending", "Examples in the spool that were not uploaded yet.", (),
        lambda: {(): spool_thread.counts.pending},
    )  # fmt: skip
    metrics.gauge(
        "skerry_spool_pending_bytes", "Their size.", (), lambda: {(): spool_thread.counts.pending_bytes}
    )  # fmt: skip
    metrics.total(
        "skerry_spool_examples_total", "Examples by what became of them in the spool, exact and over restarts.",
        ("outcome",),
        lambda: {
            ("captured",): spool_thread.counts.captured,
            ("dropped",): spool_thread.counts.dropped,
            ("uploaded",): spool_thread.counts.uploaded,
            ("refused_by_cloud",): spool_thread.counts.refused,
            ("damaged",): spool_thread.counts.damaged,
            ("too_large",): spool_thread.counts.too_large,
        },
    )  # fmt: skip
    metrics.gauge("skerry_gateway_connected", "1: the gateway is heard.", (), lambda: {(): float(sync.is_connected)})
    metrics.gauge(
        "skerry_name_conflict", "1: another agent holds this node's name, this one serves and waits.", (),
        lambda: {(): float(sync.has_name_conflict)},
    )  # fmt: skip
    metrics.gauge(
        "skerry_target_state", "1: how the assigned version stands.", ("model", "state"),
        lambda: {(model, target.shown.state): 1.0 for model, target in updates.targets.items()},
    )  # fmt: skip


def register_routes(metrics: Metrics, load: LoadWindow) -> None:
    """What became of requests; it needs no state folder."""
    metrics.total(
        "skerry_routed_requests_total",
        "Requests by what became of them: answered here (local), by the cloud (offloaded), here since the cloud did "
        "not answer (degraded), with an error (failed), or wrong input (refused).",
        ("model", "route"),
        lambda: {(model, route): float(count) for model, routes in load.routed().items() for route, count in routes},
    )  # fmt: skip


def register_load(metrics: Metrics, load: LoadWindow) -> None:
    """The gauges of what was asked lately, from one reading of it."""
    readings: list[fleet_pb2.Reading] = []

    def refresh() -> None:
        readings[:] = load.read()

    metrics.before_render(refresh)
    metrics.gauge(
        "skerry_forecast_truths", "Truths of the version's forecasts that came lately.", ("model", "digest"),
        lambda: {(one.model, one.digest): float(one.truths) for one in readings if one.truths},
    )  # fmt: skip
    metrics.gauge(
        "skerry_forecast_error", "Mean absolute error against them, in the target's unit.", ("model", "digest"),
        lambda: {(one.model, one.digest): one.absolute_error for one in readings if one.truths},
    )  # fmt: skip
    metrics.gauge(
        "skerry_forecast_coverage", "Share of them that lay in their interval.", ("model", "digest"),
        lambda: {(one.model, one.digest): one.coverage for one in readings if one.truths},
    )  # fmt: skip


def register_breakers(metrics: Metrics, cascade: Cascade) -> None:
    """The gauge of each model's link to the teacher."""
    metrics.gauge(
        "skerry_offload_circuit_open", "1: the teacher failed too often and is not asked; 0.5: it is tried again.",
        ("model",),
        lambda: {(model,): _OPEN[circuit] for model, circuit in cascade.circuits().items()},
    )  # fmt: skip


def register_identity(metrics: Metrics, identity: membership.Identity) -> None:
    """The gauge of a node that has a certificate, or should have one."""
    metrics.gauge(
        "skerry_certificate_ends_seconds", "Unix time at which this node's certificate ends; 0: it has none.", (),
        lambda: {(): identity.terms().not_after_ms / 1000},
    )  # fmt: skip
