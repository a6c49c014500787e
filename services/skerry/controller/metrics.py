"""What the controller shows to Prometheus: the fleet as its leader knows it, signatures, and the memory of Valkey. A
controller that waits for the lease shows nothing of the fleet, so that two are never added up.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from skerry.adapters.telemetry.metrics import Labels, Metrics
from skerry.controller import signatures
from skerry.controller.figures import Shown
from skerry.controller.reconcile import Reconciler
from skerry.controller.valkey_memory import ValkeyMemory

_Read = Callable[[Shown], Mapping[Labels, float]]


def families(reconciler: Reconciler, memory: ValkeyMemory, leads: Callable[[], bool]) -> Metrics:
    made = Metrics("controller")
    made.gauge(
        "skerry_metadata_expires_seconds",
        "Until a role's signature in the model repository ends; the leader knows.",
        ("role",),
        lambda: signatures.seconds_left(reconciler.signatures, datetime.now(UTC)),
    )
    made.gauge("skerry_controller_leading", "1: this controller leads.", (), lambda: {(): float(leads())})
    made.gauge("skerry_valkey_memory_bytes", "Memory that Valkey uses, as it says.", (), lambda: memory.used())
    made.gauge(
        "skerry_valkey_memory_limit_bytes",
        "Its maxmemory: beyond it writers wait; not there when it has none.",
        (),
        lambda: memory.limit(),
    )

    def of(read: _Read) -> Callable[[], Mapping[Labels, float]]:
        return lambda: read(shown) if leads() and (shown := reconciler.figures.shown) is not None else {}

    _nodes(made, of)
    _rollouts(made, of)
    _runs(made, of)
    return made


def _nodes(made: Metrics, of: Callable[[_Read], Callable[[], Mapping[Labels, float]]]) -> None:
    made.gauge("skerry_nodes", "Nodes that count, by state.", ("state",), of(lambda shown: _one(shown.states)))
    made.gauge(
        "skerry_nodes_aside",
        "Nodes that do not count, by why: revoked, without an approved key, or never heard of.",
        ("why",),
        of(lambda shown: _one(shown.aside)),
    )
    made.gauge(
        "skerry_nodes_serving",
        "Nodes by the version that they serve: of 50 models the 10 versions on the most nodes each, the rest as other.",
        ("model", "version"),
        of(lambda shown: shown.versions),
    )
    made.gauge(
        "skerry_nodes_certificate_ending",
        "Nodes whose certificate ends within five days; they renew long before.",
        (),
        of(lambda shown: {(): shown.certificates_ending}),
    )


def _rollouts(made: Metrics, of: Callable[[_Read], Callable[[], Mapping[Labels, float]]]) -> None:
    made.gauge("skerry_rollouts", "Rollouts by phase.", ("phase",), of(lambda shown: _one(shown.work.rollouts)))
    made.gauge(
        "skerry_rollout_active_seconds",
        "How long the oldest rollout of a model in this phase is under way (50 models, the rest as other).",
        ("model", "phase"),
        of(lambda shown: shown.work.active_s),
    )
    made.gauge(
        "skerry_rollout_standing_seconds",
        "Since it made progress last.",
        ("model", "phase"),
        of(lambda shown: shown.work.standing_s),
    )
    made.gauge(
        "skerry_rollout_ended_timestamp_seconds",
        "Unix time at which a rollout of the model ended like this last.",
        ("model", "outcome"),
        of(lambda shown: shown.work.rollout_ended_s),
    )
    made.gauge(
        "skerry_rollouts_undecided",
        "Rollouts whose newest verdict is inconclusive or an error: data is missing.",
        ("model",),
        of(lambda shown: _one(shown.work.undecided)),
    )


def _runs(made: Metrics, of: Callable[[_Read], Callable[[], Mapping[Labels, float]]]) -> None:
    made.gauge(
        "skerry_runs",
        "Training runs by outcome: Waiting, Running, Succeeded, or why they failed in one word.",
        ("outcome",),
        of(lambda shown: _one(shown.work.runs)),
    )
    made.gauge(
        "skerry_run_ended_timestamp_seconds",
        "Unix time at which a run of the model ended like this last.",
        ("model", "outcome"),
        of(lambda shown: shown.work.run_ended_s),
    )
    made.gauge(
        "skerry_version_made_timestamp_seconds",
        "Unix time at which the newest version of the model was made.",
        ("model",),
        of(lambda shown: _one(shown.work.newest_version_s)),
    )
    made.gauge(
        "skerry_retrain_overdue_seconds",
        "Since the first training run that was started after the newest version; 0: there is none.",
        ("model",),
        of(lambda shown: _one(shown.work.overdue_s)),
    )


def _one(counted: Mapping[str, float]) -> dict[Labels, float]:
    return {(key,): float(count) for key, count in counted.items()}
