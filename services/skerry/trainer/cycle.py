"""The order of a run: data → train → export → compress and judge each form → finish the chosen one → propose.

Each step is another module's; this file only hands results on and gathers the report. It reads no environment and
starts nothing: `main` brings the stores, the teacher and the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import errors, gates, specs
from skerry.core.confidence import Calibration
from skerry.core.manifest import Manifest
from skerry.nets import export
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import (
    balance,
    baseline,
    contributors,
    data,
    evaluate,
    golden,
    ladder,
    measures,
    propose,
    quality,
    train,
    trial,
)
from skerry.trainer.evaluate import Answers
from skerry.trainer.ladder import Climbed, Form
from skerry.trainer.shipped import Shipped
from skerry.trainer.train import SoftLabeler

log = logs.logger("trainer")

JUDGING = "imported"  # the holdout that temperature, threshold and the choice of int8 are taken from


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """One run, resolved: what to train on which data, and the version it must not be worse than (None: there is none;
    a text: there is one and it cannot be had, which is an error of the run's verdict)."""

    run: str
    model: specs.EdgeModel
    retrain: specs.RetrainSpec
    dataset: str
    baseline: baseline.Baseline | str | None


@dataclass(frozen=True, slots=True)
class _Compared:
    """The stable version, what it answers on the holdouts, and what was in the way of asking it."""

    stable: Shipped | None
    answers: Mapping[str, NDArray[np.float32]]
    failures: Mapping[str, str]


def run(
    resolved: ResolvedRun, blobs: Blobs, labeler: SoftLabeler | None, workers: WorkerGroup = SINGLE
) -> gates.Verdict | None:
    """Do the whole run and propose its result, whatever the verdict. Of several workers all train and the first goes on
    alone: the others have no verdict. Raises InputError, IntegrityError or UnavailableError when there is nothing to
    propose."""
    owner = f"EdgeModel {resolved.model.name} spec.network"
    loaded = data.load(blobs, resolved.model, resolved.dataset, workers)
    _log_data(resolved, loaded, workers)
    is_first = resolved.baseline is None
    trained = train.train(resolved.model, resolved.retrain, loaded, labeler, owner, workers, is_first=is_first)
    if workers.rank:
        return None
    exported = export.export(trained.network, trained.samples.x[:8], output=measures.of(resolved.model.task).output)
    compared = _compare(resolved, loaded, propose.described(resolved.model, exported))

    def judge(
        version: Shipped, answers: Mapping[str, Answers], whole: Mapping[str, Answers], latency_us: float
    ) -> gates.Verdict:
        calibration = _calibrated(resolved, loaded, version, answers)
        holdouts = _measured(resolved, loaded, compared, answers, whole, calibration)
        return _verdict(resolved, holdouts, len(version.model), latency_us, compared.failures)

    climbed = ladder.climb(resolved.model, loaded, trained, exported, judge)
    log.info(
        "compressed",
        scheme=climbed.chosen.candidate.scheme,
        reason=climbed.decision.reason,
        size_bytes=len(climbed.chosen.version.model),
    )
    return _judge(resolved, blobs, loaded, climbed, compared, trained)


def _compare(resolved: ResolvedRun, loaded: data.Loaded, candidate: Manifest) -> _Compared:
    failures: dict[str, str] = {}
    stable = _stable(resolved, candidate, failures)
    return _Compared(stable, _baseline_answers(loaded, stable), failures)


def _measured(
    resolved: ResolvedRun,
    loaded: data.Loaded,
    compared: _Compared,
    answers: Mapping[str, Answers],
    whole: Mapping[str, Answers],
    calibration: Calibration,
) -> list[measures.Measured]:
    """One version's answers on each holdout, beside those of the stable version and of the float network behind it."""
    measure = measures.of(resolved.model.task)
    stable_task = resolved.model.task if compared.stable is None else compared.stable.manifest.task
    found = []
    for origin, rows in loaded.holdouts.items():
        unquantized = whole[origin].logits if origin in whole else None
        outputs = measures.HoldoutOutputs(answers[origin].logits, compared.answers.get(origin), unquantized)
        found.append(measure.holdout(origin, rows, outputs, stable_task, calibration))
    return found


def _verdict(
    resolved: ResolvedRun,
    holdouts: list[measures.Measured],
    size_bytes: int,
    latency_us: float,
    failures: Mapping[str, str],
    further: Sequence[gates.Gate] = (),
) -> gates.Verdict:
    measured = gates.Measurements([one.judged for one in holdouts], size_bytes, latency_us, failures)
    return gates.judge(resolved.model.gates, measured, further)


def _judge(
    resolved: ResolvedRun,
    blobs: Blobs,
    loaded: data.Loaded,
    climbed: Climbed,
    compared: _Compared,
    trained: train.Trained,
) -> gates.Verdict:
    """Finish the chosen form, judge it as a whole, propose it."""
    chosen = climbed.chosen
    calibration = _calibrated(resolved, loaded, chosen.version, chosen.answers)
    holdouts = _measured(resolved, loaded, compared, chosen.answers, climbed.unquantized, calibration)
    manifest, golden_file, problem = _finish(resolved, loaded, chosen, holdouts, calibration)
    failures = {**compared.failures, **({"self-test": problem} if problem else {})}
    latency_us = chosen.candidate.latency_us or 0.0
    further = contributors.gates_of(loaded, chosen.version, compared.stable)
    further += quality.gates_of(resolved.model, loaded, chosen.version, chosen.answers, calibration)
    further += balance.told(trained.balance, holdouts)
    verdict = _verdict(resolved, holdouts, len(chosen.version.model), latency_us, failures, further)
    report = {
        "training": trained.report,
        **contributors.report_of(loaded.manifest.nodes),
        "compression": _told(climbed, holdouts, golden_file, manifest),
        "holdouts": {one.origin: one.numbers for one in holdouts},
        "latencyUs": round(latency_us, 1),
        "goldenRows": golden.rows_for(resolved.model.privacy, loaded)[1],
    }
    files = {"model": chosen.version.model, "golden": golden_file}
    left = None if climbed.chosen is climbed.whole else climbed.whole.version.model
    digest = propose.propose(blobs, resolved.run, manifest, files, verdict, report, left)
    log.info("proposed", run=resolved.run, digest=digest, verdict=verdict.outcome.value, reason=verdict.reason)
    return verdict


def _told(
    climbed: Climbed, holdouts: list[measures.Measured], golden_file: bytes, manifest: Manifest
) -> dict[str, Any]:
    """What became of the network, for people: `core.compression_report` reads it."""
    chosen, is_float = climbed.chosen, climbed.chosen is climbed.whole
    judged: Mapping[str, Any] = next((one.numbers for one in holdouts if one.origin == JUDGING), {})
    shipped, whole = judged.get("perClass"), judged.get("perClassFloat")
    names = manifest.class_names
    return {
        "scheme": chosen.candidate.scheme,
        "int8": bool(chosen.int8_share),
        "int8Share": round(chosen.int8_share, 3),
        "reason": climbed.decision.reason,
        "floatBytes": climbed.whole.candidate.bytes,
        "sizeBytes": len(chosen.version.model),
        **ladder.sizes(chosen.version, golden_file, manifest.to_json()),
        "tried": list(climbed.tried),
        "nodes": ladder.nodes_of(chosen.version),
        "perClass": {
            "float": _by_name(names, shipped if is_float else whole),
            "int8": None if is_float else _by_name(names, shipped),
        },
    }


def _by_name(names: Sequence[str], recalls: Sequence[float | None] | None) -> dict[str, float | None] | None:
    return None if recalls is None else dict(zip(names, recalls, strict=False))


def _calibrated(
    resolved: ResolvedRun, loaded: data.Loaded, version: Shipped, answers: Mapping[str, Answers]
) -> Calibration:
    """How sure a form is, by the holdout that judges it."""
    judged, task = loaded.holdouts.get(JUDGING), resolved.model.task
    confidence = Calibration(outputs=measures.of(task).kind_of(version.logits(data.some_rows(loaded)[: golden.ROWS])))
    if judged is not None and len(judged):
        rate = resolved.model.offload.target_rate_permille / 1000
        confidence = task.calibrate(answers[JUDGING].logits, judged.targets, rate, confidence.outputs)
    if isinstance(resolved.baseline, baseline.Baseline) and (bound := resolved.baseline.manifest.confidence.bound):
        confidence = replace(confidence, bound=bound)  # what is bad stays so: no version loosens its own measure
    return confidence


def _finish(
    resolved: ResolvedRun,
    loaded: data.Loaded,
    candidate: Form,
    holdouts: list[measures.Measured],
    confidence: Calibration,
) -> tuple[Manifest, bytes, str]:
    """The complete manifest, the golden set, and what its self-test found wrong (empty: nothing)."""
    policy = resolved.model.gates
    tested = golden.build(candidate.version, golden.rows_for(resolved.model.privacy, loaded)[0])
    manifest = propose.complete(
        candidate.version.manifest,
        golden=tested.data,
        tolerance_abs=tested.tolerance_abs,
        confidence=confidence,
        latency_cap_ms=policy.max_latency_us / 1000,
        dataset=resolved.dataset,
        parents=(resolved.baseline.digest,) if isinstance(resolved.baseline, baseline.Baseline) else (),
        metrics={one.origin: one.numbers for one in holdouts} | quality.inputs_of(loaded, candidate.version),
    )
    return manifest, tested.data, trial.fault(manifest, candidate.version.model, tested.data)


def _stable(resolved: ResolvedRun, candidate: Manifest, failures: dict[str, str]) -> Shipped | None:
    """The stable version; what is in the way of asking it goes into `failures`."""
    if isinstance(resolved.baseline, str):
        failures["baseline"] = resolved.baseline
    if resolved.baseline is None or isinstance(resolved.baseline, str):
        return None
    stable = resolved.baseline
    try:
        evaluate.check_same_input(candidate, stable.manifest)
        if fault := measures.of(resolved.model.task).incomparable(stable.manifest.task):
            raise errors.InputError(fault)
        return Shipped(stable.manifest, stable.model)
    except errors.SkerryError as exc:
        failures["baseline"] = f"the stable version {stable.name} could not be asked: {exc}"
        return None


def _baseline_answers(loaded: data.Loaded, stable: Shipped | None) -> dict[str, NDArray[np.float32]]:
    """What the stable version answers on the same rows."""
    if stable is None:
        return {}
    return {origin: answers.logits for origin, answers in evaluate.answer(stable, loaded.holdouts).items()}


def _log_data(resolved: ResolvedRun, loaded: data.Loaded, workers: WorkerGroup) -> None:
    log.info(
        "data_loaded",
        run=resolved.run,
        **({"worker": workers.rank, "workers": workers.size} if workers.size > 1 else {}),
        train={origin: len(rows) for origin, rows in loaded.train.items()},
        holdout={origin: len(rows) for origin, rows in loaded.holdouts.items()},
        dropped=dict(loaded.dropped),
    )
