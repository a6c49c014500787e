"""EdgeModel.spec: what a model is, when it offloads, when it is retrained, what a version must show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core import balancing, errors, gates, offload, preprocessing, sampling
from skerry.core.example_retention import FOR_EVER, KeepExamples
from skerry.core.privacy import OPEN, Privacy
from skerry.core.specs import task, warn
from skerry.core.specs.privacy import privacy_fields
from skerry.core.specs.reader import Reader, read
from skerry.core.specs.strategy import RolloutStrategy, strategy
from skerry.core.specs.template import JobTemplate, template_fields
from skerry.core.tasks import Task
from skerry.core.warnings import WarnPolicy

DATATYPES = (
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16",
    "BYTES",
)  # fmt: skip
AUGMENTS = ("generic", "none", "shift")
BALANCES = (balancing.AUTO, *balancing.WAYS)


@dataclass(frozen=True, slots=True)
class Network:
    """`factory` is `module:function`, called with `options`, and returns a torch Module."""

    factory: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """One row as callers send it: `shape` without the batch axis."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OffloadSpec:
    """EdgeModel.spec.offload in its own units; `policy` and `capture` are the same in those of `core`."""

    enabled: bool = True
    target_rate_permille: int = 100
    budget_per_second_permille: int = 20_000
    burst: int = 40
    min_remaining_ms: int = 20
    timeout_ms: int = 300
    breaker_failures: int = 5
    breaker_open_s: int = 2
    exploration_permille: int = 100
    hard_permille: int = 1000
    capture_per_second: int = 200

    @property
    def policy(self) -> offload.OffloadPolicy:
        return offload.OffloadPolicy(
            enabled=self.enabled,
            target_rate=self.target_rate_permille / 1000,
            budget_per_s=self.budget_per_second_permille / 1000,
            burst=float(self.burst),
            min_remaining_s=self.min_remaining_ms / 1000,
            timeout_s=self.timeout_ms / 1000,
            breaker_failures=self.breaker_failures,
            breaker_open_s=float(self.breaker_open_s),
        )

    @property
    def capture(self) -> sampling.CapturePolicy:
        return sampling.CapturePolicy(
            exploration=self.exploration_permille / 1000,
            hard=self.hard_permille / 1000,
            per_s=float(self.capture_per_second),
        )


# By task. The truth of a forecast comes with time, at no cost, and seldom enough: each counts.
EXPLORATION_PERMILLE = {"Classification": OffloadSpec().exploration_permille, "Forecast": 1000}


@dataclass(frozen=True, slots=True)
class RetrainSpec:
    """EdgeModel.spec.retrain: when a run is worth it (see `core.retrain`), how it trains, and as what job."""

    enabled: bool = True
    min_new_examples: int = 600
    drift_min_examples: int = 300
    drift_alpha_ppm: int = 1000
    drift_distance_permille: int = 100
    offload_rise_permille: int = 100
    input_shift_permille: int = 500
    cooldown_s: int = 60
    epochs: int = 8
    augment: str = "generic"
    balance: str = balancing.AUTO
    learning_rate_ppm: int = 2000
    prune_permille: int | None = None  # as the network has it
    students: int = 1
    seed: int = 0
    timeout_s: int = 900
    template: JobTemplate = field(default_factory=JobTemplate)


@dataclass(frozen=True, slots=True)
class EdgeModel:
    """A model by name. `preprocessing` holds the steps as given; `core.preprocessing` has found them right."""

    name: str
    task: Task
    network: Network | None
    teacher: Network | None
    input: Input
    preprocessing: tuple[Mapping[str, Any], ...]
    dataset_digest: str
    offload: OffloadSpec
    retrain: RetrainSpec
    gates: gates.GatePolicy
    rollout: RolloutStrategy
    retention: int = 3
    keep_examples: KeepExamples = FOR_EVER
    warn: WarnPolicy | None = None
    privacy: Privacy = OPEN

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.task.class_names


def parse_edge_model(name: str, spec: Mapping[str, Any]) -> EdgeModel:
    """Raises InputError naming the field. A model without `network` is served and never retrained."""
    return read("EdgeModel", name, "spec", spec, lambda reader: _edge_model(name, reader))


def parse_offload(spec: Mapping[str, Any], owner: str = "given") -> OffloadSpec:
    """EdgeModel.spec.offload alone, as nodes receive it. Raises InputError."""
    return read("EdgeModel", owner, "spec.offload", spec, lambda reader: _offload(reader, OffloadSpec()))


def parse_task(name: str, spec: Mapping[str, Any]) -> Task:
    """What an EdgeModel answers, of the rest of its spec nothing is asked. Raises InputError."""
    return read("EdgeModel", name, "spec", spec, lambda reader: task.task(reader, "Classification"), is_open=True)


def offload_for_nodes(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """EdgeModel.spec.offload, with what a node cannot know filled in: there `parse_offload` is told no task. Of the
    rest of the spec nothing is asked. Raises InputError."""
    given = spec.get("offload", {})
    parse_offload(given, name)
    usual, field = OffloadSpec().exploration_permille, "explorationPermille"
    permille = EXPLORATION_PERMILLE.get(str(spec.get("task")), usual)
    is_usual = permille == usual or given.get(field) is not None
    return dict(given) if is_usual else {**given, field: permille}


def parse_retrain(spec: Mapping[str, Any], owner: str = "given") -> RetrainSpec:
    """EdgeModel.spec.retrain alone. Raises InputError."""
    return read("EdgeModel", owner, "spec.retrain", spec, retrain_fields)


def _edge_model(name: str, reader: Reader) -> EdgeModel:
    steps = reader.items("preprocessing", (), limit=100)
    try:
        preprocessing.parse(list(steps))
    except errors.InputError as exc:
        raise reader.fault("preprocessing", f"is not usable: {exc}") from exc
    answered = task.task(reader, "Classification")
    row = reader.inner("input", _input)
    unset = OffloadSpec(exploration_permille=EXPLORATION_PERMILLE[answered.name])
    return EdgeModel(
        name=name,
        task=answered,
        network=reader.inner("network", _network) if reader.has("network") else None,
        teacher=reader.inner("teacher", _network) if reader.has("teacher") else None,
        input=row,
        preprocessing=tuple(steps),
        dataset_digest=reader.digest("datasetDigest", ""),
        offload=reader.inner("offload", lambda inner: _offload(inner, unset)),
        retrain=reader.inner("retrain", retrain_fields),
        gates=reader.inner("gates", lambda inner: _gates(inner, answered)),
        rollout=reader.inner("rollout", strategy),
        retention=reader.integer("retention", 3, 2, 20),
        keep_examples=reader.inner("keepExamples", _keep_examples),
        warn=warn.warn_of(reader, answered, row.shape),
        privacy=_privacy(reader, row),
    )


def _network(reader: Reader) -> Network:
    factory = reader.text("factory", None, limit=200)
    module, _, function = factory.partition(":")
    if not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise reader.fault("factory", f'must be "package.module:function", not {factory!r}')
    return Network(factory, reader.mapping("options", {}))


def _input(reader: Reader) -> Input:
    shape = reader.integers("shape", None, low=1)
    if not 1 <= len(shape) <= 8:
        raise reader.fault("shape", f"must have 1..8 dimensions (the batch axis is not one), not {len(shape)}")
    datatype = reader.text("datatype", None, among=DATATYPES)
    return Input(reader.text("name", None, limit=120), datatype, shape)


def _privacy(reader: Reader, row: Input) -> Privacy:
    if not reader.has("privacy"):
        return OPEN
    given = reader.inner("privacy", privacy_fields)
    for index, step in enumerate(given.redact):
        if fault := step.fault(row.shape, row.datatype):
            raise reader.fault(f"privacy.redact[{index}]", f"does not fit input {row.name!r}: {step}: {fault}")
    return given


def _offload(reader: Reader, default: OffloadSpec) -> OffloadSpec:
    return OffloadSpec(
        enabled=reader.flag("enabled", default.enabled),
        target_rate_permille=reader.integer("targetRatePermille", default.target_rate_permille, 0, 1000),
        budget_per_second_permille=reader.integer(
            "budgetPerSecondPermille", default.budget_per_second_permille, 0, 10**9
        ),
        burst=reader.integer("burst", default.burst, 0, 10**6),
        min_remaining_ms=reader.integer("minRemainingMs", default.min_remaining_ms, 0, 60_000),
        timeout_ms=reader.integer("timeoutMs", default.timeout_ms, 1, 60_000),
        breaker_failures=reader.integer("breakerFailures", default.breaker_failures, 1, 10_000),
        breaker_open_s=reader.integer("breakerOpenSeconds", default.breaker_open_s, 1, 3600),
        exploration_permille=reader.integer("explorationPermille", default.exploration_permille, 0, 1000),
        hard_permille=reader.integer("hardPermille", default.hard_permille, 0, 1000),
        capture_per_second=reader.integer("capturePerSecond", default.capture_per_second, 0, 100_000),
    )


def retrain_fields(reader: Reader) -> RetrainSpec:
    default = RetrainSpec()
    return RetrainSpec(
        enabled=reader.flag("enabled", default.enabled),
        min_new_examples=reader.integer("minNewExamples", default.min_new_examples, 1, 10**9),
        drift_min_examples=reader.integer("driftMinExamples", default.drift_min_examples, 1, 10**9),
        drift_alpha_ppm=reader.integer("driftAlphaPpm", default.drift_alpha_ppm, 1, 500_000),
        drift_distance_permille=reader.integer("driftDistancePermille", default.drift_distance_permille, 0, 1000),
        offload_rise_permille=reader.integer("offloadRisePermille", default.offload_rise_permille, 1, 1000),
        input_shift_permille=reader.integer("inputShiftPermille", default.input_shift_permille, 0, 10_000),
        cooldown_s=reader.integer("cooldownSeconds", default.cooldown_s, 0, 366 * 86_400),
        epochs=reader.integer("epochs", default.epochs, 1, 10_000),
        augment=reader.text("augment", default.augment, among=AUGMENTS),
        balance=reader.text("balance", default.balance, among=BALANCES),
        learning_rate_ppm=reader.integer("learningRatePpm", default.learning_rate_ppm, 1, 10**6),
        prune_permille=reader.integer("prunePermille", None, 0, 900) if reader.has("prunePermille") else None,
        students=reader.integer("students", default.students, 1, 16),
        seed=reader.integer("seed", default.seed, 0, 2**31 - 1),
        timeout_s=reader.integer("timeoutSeconds", default.timeout_s, 1, 30 * 86_400),
        template=reader.inner("template", template_fields),
    )


def _keep_examples(reader: Reader) -> KeepExamples:
    return KeepExamples(reader.integer("days", 0, 0, 36_500), reader.integer("bytes", 0, 0, 2**50))


def _gates(reader: Reader, answered: Task) -> gates.GatePolicy:
    default = gates.DEFAULTS[answered.name]
    of_classes = {
        "minAccuracyPermille": default.min_accuracy_permille,
        "minClassRecallPermille": default.min_class_recall_permille,
        "maxCalibrationErrorPermille": default.max_calibration_error_permille,
        "maxLabelErrorPermille": default.max_label_error_permille,
        "nodeMarginPermille": default.node_margin_permille,
    }
    permille = {name: reader.integer(name, usual, 0, 1000) for name, usual in of_classes.items()}
    for name, asked in permille.items():
        if asked and not answered.class_names:
            raise reader.fault(name, f"is of classes, and the model answers {answered}: leave it out")
    return gates.GatePolicy(
        margin_permille=reader.integer("marginPermille", default.margin_permille, 0, 1000),
        class_margin_permille=reader.integer("classMarginPermille", default.class_margin_permille, 0, 1000),
        min_holdout=reader.integer("minHoldout", default.min_holdout, 1, 10**9),
        min_accuracy_permille=permille["minAccuracyPermille"],
        max_size_bytes=reader.integer("maxSizeBytes", default.max_size_bytes),
        max_latency_us=reader.integer("maxLatencyUs", default.max_latency_us),
        max_int8_loss_permille=reader.integer("maxInt8LossPermille", default.max_int8_loss_permille, 0, 1000),
        max_fragile_permille=reader.integer("maxFragilePermille", default.max_fragile_permille, 0, 1000),
        min_class_recall_permille=permille["minClassRecallPermille"],
        max_calibration_error_permille=permille["maxCalibrationErrorPermille"],
        max_label_error_permille=permille["maxLabelErrorPermille"],
        node_margin_permille=permille["nodeMarginPermille"],
    )
