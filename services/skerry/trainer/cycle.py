"""The order of a run: data → train → export → compress → evaluate what is shipped → judge → propose. No step twice.

Each step is another module's; this file only hands results on and gathers the report. It reads no environment and
starts nothing: `main` brings the stores, the teacher and the run.
"""

import math
from collections.abc import Mapping
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
from skerry.trainer import baseline, compress, contributors, data, evaluate, golden, measures, propose, train, trial
from skerry.trainer.compress import Choice, Model
from skerry.trainer.evaluate import Answers
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
class _Candidate:
    """The model that is shipped, why it is that one, and the float model's answers when it is int8."""

    version: Shipped
    choice: Choice
    answers: Mapping[str, Answers]
    unquantized: Mapping[str, Answers]
    float_bytes: int


def run(
    resolved: ResolvedRun, blobs: Blobs, labeler: SoftLabeler | None, workers: WorkerGroup = SINGLE
) -> gates.Verdict | None:
    """Do the whole run and propose its result, whatever the verdict. Of several workers all train and the first goes on
    alone: the others have no verdict. Raises InputError, IntegrityError or UnavailableError when there is nothing to
    propose."""
    owner = f"EdgeModel {resolved.model.name} spec.network"
    loaded = data.load(blobs, resolved.model, resolved.dataset, workers)
    _log_data(resolved, loaded, workers)
    trained = train.train(resolved.model, resolved.retrain, loaded, labeler, owner, workers)
    if workers.rank:
        return None
    exported = export.export(trained.network, trained.inputs[:8], output=measures.of(resolved.model.task).output)
    candidate = _compress(resolved, loaded, exported, trained.inputs)
    log.info(
        "compressed",
        int8=candidate.choice.int8,
        reason=candidate.choice.reason,
        size_bytes=len(candidate.version.model),
    )
    return _judge(resolved, blobs, loaded, candidate, trained.report, exported.data)


def _compress(resolved: ResolvedRun, loaded: data.Loaded, whole: export.Exported, inputs: NDArray[Any]) -> _Candidate:
    """int8 when it holds what float promises on the holdout, else float with the reason."""
    float_bytes = len(whole.data)
    float_version = _ship(resolved, compress.as_float(whole.data), whole)
    float_answers = evaluate.answer(float_version, loaded.holdouts)
    kept, reasons = _Candidate(float_version, Choice(False, ""), float_answers, {}, float_bytes), []
    for reduced in (False, True):
        try:
            drawn = _calibration(inputs, resolved.retrain.seed)
            keep_head = measures.of(resolved.model.task).keeps_head
            small = compress.to_int8(whole, drawn, reduced=reduced, keep_head=keep_head)
        except errors.InputError as exc:
            reasons.append(f"the float model is kept: {exc}")
            break
        version = _ship(resolved, small, whole)
        answers = evaluate.answer(version, loaded.holdouts)
        choice = _choose(resolved, loaded, kept, small, version, answers)
        if choice.int8:
            return _Candidate(version, choice, answers, float_answers, float_bytes)
        reasons.append(choice.reason)
        if not choice.retry:
            break
    return replace(kept, choice=Choice(False, "; with 7-bit weights: ".join(reasons)))


def _choose(
    resolved: ResolvedRun,
    loaded: data.Loaded,
    kept: _Candidate,
    small: Model,
    version: Shipped,
    answers: Mapping[str, Answers],
) -> Choice:
    policy = resolved.model.gates
    timed = (kept.version, version) if policy.max_latency_us else ()
    before, after = (evaluate.latency_us(model, _first_row(loaded)) for model in timed) if timed else (0.0, 0.0)
    measure = measures.of(resolved.model.task)
    losses = [  # as the gates will look at it: each holdout by itself
        measure.loss_of_int8(rows.targets, kept.answers[origin].logits, answers[origin].logits)
        for origin, rows in loaded.holdouts.items()
        if len(rows)
    ]
    return compress.choose(
        max(losses, key=_more_than_chance, default=None),
        small,
        max_loss=policy.max_int8_loss_permille / 1000,
        float_bytes=kept.float_bytes,
        latency_us=(before, after),
        max_latency_us=policy.max_latency_us,
    )


def _judge(
    resolved: ResolvedRun,
    blobs: Blobs,
    loaded: data.Loaded,
    candidate: _Candidate,
    training: Mapping[str, Any],
    float_model: bytes,
) -> gates.Verdict:
    """Measure the finished version, judge it, propose it."""
    failures: dict[str, str] = {}
    stable = _stable(resolved, candidate.version, failures)
    before = _baseline_answers(loaded, stable)
    measure, answers = measures.of(resolved.model.task), candidate.answers
    whole = {origin: answered.logits for origin, answered in candidate.unquantized.items()}
    stable_task = resolved.model.task if stable is None else stable.manifest.task
    outputs = {
        origin: measures.HoldoutOutputs(answers[origin].logits, before.get(origin), whole.get(origin))
        for origin in loaded.holdouts
    }
    holdouts = [measure.holdout(origin, rows, outputs[origin], stable_task) for origin, rows in loaded.holdouts.items()]
    manifest, golden_file, problem = _finish(resolved, loaded, candidate, holdouts)
    if problem:
        failures["self-test"] = problem
    latency = evaluate.latency_us(candidate.version, _first_row(loaded))
    measured = gates.Measurements([one.judged for one in holdouts], len(candidate.version.model), latency, failures)
    verdict = gates.judge(resolved.model.gates, measured, contributors.gates_of(loaded, candidate.version, stable))
    report = {
        "training": training,
        **contributors.report_of(loaded.manifest.nodes),
        "compression": {
            "int8": candidate.choice.int8,
            "int8Share": round(candidate.choice.int8_share, 3),
            "reason": candidate.choice.reason,
            "floatBytes": candidate.float_bytes,
            "sizeBytes": len(candidate.version.model),
        },
        "holdouts": {one.origin: one.numbers for one in holdouts},
        "latencyUs": round(latency, 1),
    }
    files = {"model": candidate.version.model, "golden": golden_file}
    left = float_model if candidate.choice.int8 else None
    digest = propose.propose(blobs, resolved.run, manifest, files, verdict, report, left)
    log.info("proposed", run=resolved.run, digest=digest, verdict=verdict.outcome.value, reason=verdict.reason)
    return verdict


def _finish(
    resolved: ResolvedRun, loaded: data.Loaded, candidate: _Candidate, holdouts: list[measures.Measured]
) -> tuple[Manifest, bytes, str]:
    """The complete manifest, the golden set, and what its self-test found wrong (empty: nothing)."""
    policy = resolved.model.gates
    judged = loaded.holdouts.get(JUDGING)
    confidence = Calibration(
        outputs=measures.of(resolved.model.task).kind_of(candidate.version.logits(_some_rows(loaded)[: golden.ROWS]))
    )
    if judged is not None and len(judged):
        rate = resolved.model.offload.target_rate_permille / 1000
        task, answers = resolved.model.task, candidate.answers[JUDGING].logits
        confidence = task.calibrate(answers, judged.targets, rate, confidence.outputs)
    if isinstance(resolved.baseline, baseline.Baseline) and (bound := resolved.baseline.manifest.confidence.bound):
        confidence = replace(confidence, bound=bound)  # what is bad stays so: no version loosens its own measure
    tested = golden.build(candidate.version, _some_rows(loaded))
    manifest = propose.complete(
        candidate.version.manifest,
        golden=tested.data,
        tolerance_abs=tested.tolerance_abs,
        confidence=confidence,
        latency_cap_ms=policy.max_latency_us / 1000,
        dataset=resolved.dataset,
        parents=(resolved.baseline.digest,) if isinstance(resolved.baseline, baseline.Baseline) else (),
        metrics={one.origin: one.numbers for one in holdouts},
    )
    return manifest, tested.data, trial.fault(manifest, candidate.version.model, tested.data)


def _stable(resolved: ResolvedRun, candidate: Shipped, failures: dict[str, str]) -> Shipped | None:
    """The stable version; what is in the way of asking it goes into `failures`."""
    if isinstance(resolved.baseline, str):
        failures["baseline"] = resolved.baseline
    if resolved.baseline is None or isinstance(resolved.baseline, str):
        return None
    stable = resolved.baseline
    try:
        evaluate.check_same_input(candidate.manifest, stable.manifest)
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


def _ship(resolved: ResolvedRun, model: Model, exported: export.Exported) -> Shipped:
    assert resolved.model.network is not None  # train.train refused otherwise
    return Shipped(propose.draft(resolved.model, resolved.model.network, model, exported), model.data)


def _calibration(inputs: NDArray[Any], seed: int) -> NDArray[Any]:
    """Training inputs, drawn once by the run's seed."""
    order = np.random.default_rng(seed).permutation(len(inputs))[: compress.CALIBRATION_ROWS]
    return np.asarray(inputs[order])


def _more_than_chance(loss: compress.Loss) -> float:
    """What is lost; a loss that is no number is the greatest."""
    return math.inf if math.isnan(loss.lost) else loss.lost - loss.chance


def _some_rows(loaded: data.Loaded) -> NDArray[Any]:
    """Rows for the golden set: holdout rows when there are any, so that nothing of the training is shipped."""
    held = [rows.x for rows in loaded.holdouts.values() if len(rows)]
    return held[0] if held else next(rows.x for rows in loaded.train.values() if len(rows))


def _first_row(loaded: data.Loaded) -> NDArray[Any]:
    return _some_rows(loaded)[:1]


def _log_data(resolved: ResolvedRun, loaded: data.Loaded, workers: WorkerGroup) -> None:
    log.info(
        "data_loaded",
        run=resolved.run,
        **({"worker": workers.rank, "workers": workers.size} if workers.size > 1 else {}),
        train={origin: len(rows) for origin, rows in loaded.train.items()},
        holdout={origin: len(rows) for origin, rows in loaded.holdouts.items()},
        dropped=dict(loaded.dropped),
    )
