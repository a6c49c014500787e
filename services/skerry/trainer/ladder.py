"""The forms in which a trained network could be shipped, in order of what they cost: float, static int8 (with weights
of 7 bits where 8 lose too much), the same of the pruned network, int8 of its LSTMs, and quantization-aware training
where all of these lose more than the margin. Each is exported, quantized, run and judged as nodes will run it; which
one is shipped is decided in `core.compression`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from skerry.adapters.telemetry import logs
from skerry.core import compression, errors, extremes, gates, specs
from skerry.core.compression import Candidate, Decision, Loss, Refused
from skerry.nets import export
from skerry.trainer import compress, data, evaluate, inputs, measures, propose, qat
from skerry.trainer.evaluate import Answers
from skerry.trainer.shipped import Shipped
from skerry.trainer.train import Trained

log = logs.logger("trainer")


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the network, and what it answers on each holdout."""

    candidate: Candidate
    version: Shipped
    answers: Mapping[str, Answers]
    int8_share: float


# What the gates say of a form; beside it the float network's answers (empty: it is the float network) and its latency.
Judge = Callable[[Shipped, Mapping[str, Answers], Mapping[str, Answers], float], gates.Verdict]


@dataclass(frozen=True, slots=True)
class Climbed:
    """`whole` is the network as it was trained, in float; `chosen` may be the same."""

    chosen: Form
    whole: Form
    decision: Decision
    tried: Sequence[Mapping[str, Any]]

    @property
    def unquantized(self) -> Mapping[str, Answers]:
        """The float network's answers, where something else is shipped."""
        return {} if self.chosen is self.whole else self.whole.answers


def climb(
    model: specs.EdgeModel, loaded: data.Loaded, trained: Trained, exported: export.Exported, judge: Judge
) -> Climbed:
    """Make and measure every form of the network, `exported` as it was trained, that is worth it."""
    ladder = _Ladder(model, loaded, trained, judge)
    whole = _Network(trained.network, "", exported)
    ladder.take(whole, compress.as_float(whole.exported.data))
    ladder.int8(whole)
    networks = [whole]
    if trained.slim is not None and (slim := ladder.slim(trained.slim)) is not None:
        ladder.int8(slim)
        networks.insert(0, slim)
    for network in networks:
        ladder.recurrent(network)
    for network in networks:  # the smaller one first
        ladder.rounded(network)
    return ladder.decided()


@dataclass(frozen=True, slots=True)
class _Network:
    """`prefix` names in schemes what was done to it before any quantization."""

    module: nn.Module
    prefix: str
    exported: export.Exported


class _Ladder:
    def __init__(self, model: specs.EdgeModel, loaded: data.Loaded, trained: Trained, judge: Judge) -> None:
        self._model, self._loaded, self._trained, self._judge = model, loaded, trained, judge
        self._measure = measures.of(model.task)
        order = np.random.default_rng(trained.recipe.seed).permutation(len(trained.samples.x))
        order = order[~extremes.unusual(trained.samples.x)[order]]  # a huge number would leave few levels to all others
        self._calibration = np.asarray(trained.samples.x[order[: compress.CALIBRATION_ROWS]])
        self._forms: list[Form] = []
        self._refused: list[Refused] = []

    def exported(self, module: nn.Module) -> export.Exported:
        return export.export(module, self._trained.samples.x[:8], output=self._measure.output)

    def slim(self, module: nn.Module) -> _Network | None:
        """The pruned network; None when it holds too little in float, so that int8 need not be tried."""
        prefix = f"pruned {self._trained.pruned:.0%}, "
        try:
            slim = _Network(module, prefix, self.exported(module))
        except errors.InputError as exc:
            self._refused.append(Refused(f"{prefix}{compression.FLOAT_SCHEME}", str(exc)))
            return None
        form = self.take(slim, compress.as_float(slim.exported.data))
        return None if form.candidate.fault else slim

    def int8(self, network: _Network) -> None:
        form = self._quantized(network)
        if form is not None and form.candidate.lossy:
            self._quantized(network, reduced=True)

    def recurrent(self, network: _Network) -> None:
        if compress.has_lstm(network.exported.data):
            self._quantized(network, recurrent=True)

    def rounded(self, network: _Network) -> None:
        """Training with rounding, where every int8 form of the network lost more than the margin."""
        of_network = [form.candidate for form in self._forms if _belongs(form.candidate.scheme, network.prefix)]
        tried = [one for one in of_network if not one.scheme.endswith(compression.FLOAT_SCHEME)]
        if not tried or not all(one.lossy for one in tried) or any(one.passed for one in self._smaller(tried)):
            return
        trained = self._trained
        prefix = f"{network.prefix}QAT, "
        try:
            module = qat.train(
                network.module,
                trained.samples,
                trained.recipe,
                inputs.log_epoch(trained.recipe.seed),
                self._measure.objective,
                keep_head=self._measure.keeps_head,
            )
            refined = _Network(module, prefix, self.exported(module))
        except errors.InputError as exc:
            self._refused.append(Refused(f"{prefix}{compress.SCHEME}", str(exc)))
            return
        self._quantized(refined)

    def take(self, network: _Network, made: compress.Model, fault: str = "") -> Form:
        """Run and judge one form."""
        named = replace(made, scheme=f"{network.prefix}{made.scheme}")
        assert self._model.network is not None  # train.train refused otherwise
        version = Shipped(propose.draft(self._model, self._model.network, named, network.exported), made.data)
        answers = evaluate.answer(version, self._loaded.holdouts)
        latency_us, lossy = evaluate.latency_us(version, data.some_rows(self._loaded)[:1]), False
        whole = self._forms[0] if self._forms else None
        if whole is not None and not fault:
            fault, lossy = self._fault(whole, len(made.data), answers, latency_us)
        verdict = self._judge(version, answers, {} if whole is None else whole.answers, latency_us)
        candidate = Candidate(
            named.scheme,
            len(made.data),
            verdict.outcome,
            verdict.reason,
            self._quality(answers),
            latency_us,
            fault,
            lossy,
            made.note,
        )
        form = Form(candidate, version, answers, made.int8_share)
        self._forms.append(form)
        log.info("tried", scheme=named.scheme, size_bytes=len(made.data), passed=candidate.passed, fault=fault)
        return form

    def decided(self) -> Climbed:
        candidates = [form.candidate for form in self._forms]
        decision = compression.choose(candidates, self._refused)
        tried = compression.tried(candidates, decision, self._refused)
        return Climbed(self._forms[decision.chosen], self._forms[0], decision, tried)

    def _quantized(self, network: _Network, *, reduced: bool = False, recurrent: bool = False) -> Form | None:
        try:
            made = compress.to_int8(
                network.exported,
                self._calibration,
                reduced=reduced,
                keep_head=self._measure.keeps_head,
                recurrent=recurrent,
            )
            fault = "" if made.int8_nodes else "no node became int8"
            if recurrent and not fault:
                export.check_rows(made.data, self._calibration[:8], network.exported)
            return self.take(network, made, fault)
        except errors.InputError as exc:
            scheme = compress.RECURRENT_SCHEME if recurrent else compress.SCHEME
            self._refused.append(Refused(f"{network.prefix}{scheme}", str(exc)))
            return None

    def _fault(
        self, whole: Form, size_bytes: int, answers: Mapping[str, Answers], latency_us: float
    ) -> tuple[str, bool]:
        policy, measure = self._model.gates, self._measure
        losses = [  # as the gates will look at it: each holdout by itself
            measure.loss_of_compression(rows.targets, whole.answers[origin].logits, answers[origin].logits)
            for origin, rows in self._loaded.holdouts.items()
            if len(rows)
        ]
        limits = compression.Limits(policy.max_int8_loss_permille / 1000, policy.max_latency_us)
        latencies = (whole.candidate.latency_us or 0.0, latency_us)
        worst = max(losses, key=_more_than_chance, default=None)
        return compression.fault(size_bytes, whole.candidate.bytes, worst, latencies, limits)

    def _quality(self, answers: Mapping[str, Answers]) -> Mapping[str, float]:
        for origin, rows in self._loaded.holdouts.items():  # the imported one comes first
            if len(rows):
                return self._measure.quality(rows.targets, answers[origin].logits)
        return {}

    def _smaller(self, tried: Sequence[Candidate]) -> list[Candidate]:
        """Forms that are no larger than what QAT would come to."""
        return [form.candidate for form in self._forms if form.candidate.bytes <= min(one.bytes for one in tried)]


def _belongs(scheme: str, prefix: str) -> bool:
    return scheme.startswith(prefix) if prefix else not scheme.startswith("pruned")


def _more_than_chance(loss: Loss) -> float:
    """What is lost; a loss that is no number is the greatest."""
    return math.inf if math.isnan(loss.lost) else loss.lost - loss.chance


def nodes_of(version: Shipped) -> list[dict[str, Any]]:
    """For reports: what each layer with weights computes in."""
    kept = version.manifest.quantization
    layers = [(layer, True) for layer in kept.int8_nodes] + [(layer, False) for layer in kept.float_nodes]
    return [{"op": layer.op, "name": layer.name, "bytes": layer.bytes, "int8": int8} for layer, int8 in layers]


def sizes(version: Shipped, golden: bytes, manifest: bytes) -> dict[str, int]:
    """Each by itself, and what a node downloads of a version."""
    found = {"networkBytes": len(version.model), "goldenBytes": len(golden), "manifestBytes": len(manifest)}
    return {**found, "wireBytes": sum(found.values())}
