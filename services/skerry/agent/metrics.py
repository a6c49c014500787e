"""What the agent counts for Prometheus beside the serving path: read from the parts when asked, never kept twice."""

from skerry.adapters.telemetry.metrics import Metrics
from skerry.agent import membership
from skerry.agent.capture import capture_queue, spool_thread
from skerry.agent.sync import load_window, stream
from skerry.agent.update import updater


def register_capture(metrics: Metrics, kept: capture_queue.Collector) -> None:
    """The gauges of an agent that need no state folder."""
    metrics.gauge(
        "skerry_capture_refused", "Answers that found no room in queue or disk since the start.", (),
        lambda: {(): kept.refused},
    )  # fmt: skip
    metrics.gauge(
        "skerry_standing_by", "1: another agent holds the state folder, this one serves beside it.", (),
        lambda: {(): float(kept.is_standing_by)},
    )  # fmt: skip


def register(
    metrics: Metrics,
    store: spool_thread.Keeper,
    counted: load_window.Readings,
    link: stream.Sync,
    updates: updater.Updater,
) -> None:
    """The gauges of an agent that holds its state folder and is linked to its gateway."""
    metrics.gauge(
        "skerry_spool", "The spool, exact and over restarts.", ("what",),
        lambda: {
            ("pending",): store.counts.pending,
            ("pending_bytes",): store.counts.pending_bytes,
            ("captured",): store.counts.captured,
            ("dropped",): store.counts.dropped,
            ("uploaded",): store.counts.uploaded,
            ("refused_by_cloud",): store.counts.refused,
            ("damaged",): store.counts.damaged,
        },
    )  # fmt: skip
    metrics.gauge("skerry_gateway_connected", "1: the gateway is heard.", (), lambda: {(): float(link.is_connected)})
    metrics.gauge(
        "skerry_routes", "Requests of the last seconds by what became of them.", ("model", "what"),
        lambda: {
            (one.model, what): float(getattr(one, what))
            for one in counted.read()
            for what in ("requests", "offloaded", "degraded", "failed")
        },
    )  # fmt: skip
    metrics.gauge(
        "skerry_target_state", "1: how the assigned version stands.", ("model", "state"),
        lambda: {(model, target.shown.state): 1.0 for model, target in updates.targets.items()},
    )  # fmt: skip


def register_identity(metrics: Metrics, identity: membership.Identity) -> None:
    """The gauge of a node that has a certificate, or should have one."""
    metrics.gauge(
        "skerry_certificate_ends_seconds", "Unix time at which this node's certificate ends; 0: it has none.", (),
        lambda: {(): identity.terms().not_after_ms / 1000},
    )  # fmt: skip
