"""Local answer first, always; then `core.offload` decides whether the cloud's is asked for, and `core.sampling` whether
the answer is kept. A Predictor around the local one.

Whatever the cloud does, the caller gets an answer within its deadline: when the call fails, the local one, marked
degraded. Budget, breaker and policy are per model. Loading versions is the registry's, keeping answers the capture's.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from skerry.adapters.telemetry import logs
from skerry.agent import local_answer
from skerry.agent.capture import sampler
from skerry.agent.local_answer import LocalAnswer, Step
from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.sync.load_window import LoadWindow
from skerry.agent.warning_watch import WarningWatch
from skerry.core import (
    errors,
    input_sketch,
    offload,
    privacy,
    redaction,
    refusals,
    sampling,
    series_stamp,
    specs,
    subjects,
)
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.manifest import Manifest
from skerry.core.warnings import WarnPolicy
from skerry.serving.predictor import Answer, Job, Predictor
from skerry.serving.windows import Window

log = logs.logger("agent.cascade")
_MAX_VERSIONS = 64  # whose calibration is remembered; answers of a retired version may still be on their way


class Remote(Protocol):
    """The larger model. Raises SkerryErrors."""

    def infer(
        self, request: InferRequest, timeout_s: float, *, traceparent: str = "", tracestate: str = ""
    ) -> Awaitable[InferReply]: ...


@dataclass(slots=True)
class _Model:
    """One model's policy and what it remembers between decisions."""

    policy: offload.OffloadPolicy
    capture: sampling.CapturePolicy
    state: offload.State
    cap: offload.TokenBucket
    privacy: privacy.Privacy
    told_fault: str = ""  # of redaction, in the log


class Cascade:
    """Made and used on the loop's thread. `remote` None: no larger model is known. `floor`: what the node itself asks
    of its privacy, whatever is asked of it."""

    def __init__(
        self,
        local: Predictor,
        remote: Remote | None,
        sample: sampler.Sample,
        load: LoadWindow,
        residual_memory: ResidualMemory,
        watch: WarningWatch,
        floor: privacy.Floor = privacy.NO_FLOOR,
    ) -> None:
        self._local, self._remote, self._sample, self._load = local, remote, sample, load
        self._residuals, self._watch, self._floor = residual_memory, watch, floor
        self._clock = asyncio.get_running_loop().time  # to ask for the running loop each time is a system call
        self._models: dict[str, _Model] = {}
        self._versions: dict[str, Manifest] = {}
        self._latest: dict[str, str] = {}  # digest of the version that serves a model
        self._before: dict[str, str] = {}  # and of the one that served before it
        self._asking: set[asyncio.Task[None]] = set()

    def register_version(self, digest: str, manifest: Manifest) -> None:
        """Answers of this version are about to come: how sure they are is in its manifest."""
        self._versions.pop(digest, None)
        self._versions[digest] = manifest
        if (serving := self._latest.get(manifest.model, digest)) != digest:
            self._before[manifest.model] = serving
        self._latest[manifest.model] = digest
        self._load.inputs.watch(manifest.model, digest, input_sketch.of_metrics(manifest.metrics))
        while len(self._versions) > _MAX_VERSIONS:
            self._versions.pop(next(iter(self._versions)))

    def set_policy(self, model: str, spec: specs.OffloadSpec, asked: privacy.Privacy = privacy.OPEN) -> None:
        """Take over EdgeModel.spec.offload and spec.privacy, as far as the floor lets. A spent budget stays spent, an
        open circuit open."""
        current, now_s = self._model(model), self._clock()
        current.privacy, policy, capture = self._bounded(model, spec, asked)
        if (current.policy, current.capture) == (policy, capture):
            return
        current.policy, current.capture = policy, capture
        current.state = current.state.under(policy, now_s)
        current.cap = sampling.start(capture, now_s)

    def _bounded(
        self, model: str, spec: specs.OffloadSpec, asked: privacy.Privacy
    ) -> tuple[privacy.Privacy, offload.OffloadPolicy, sampling.CapturePolicy]:
        held = self._floor.bound(model, asked)
        return held, privacy.of_offload(spec.policy, held), privacy.of_capture(spec.capture, held)

    @property
    def holds_back(self) -> bool:
        """Is there a model of which not everything may leave?"""
        return self._floor != privacy.NO_FLOOR or any(one.privacy != privacy.OPEN for one in self._models.values())

    def privacy_of(self, model: str) -> privacy.Privacy:
        """What holds now, the floor's word included."""
        known = self._models.get(model)
        return self._floor.bound(model, privacy.OPEN) if known is None else known.privacy

    def circuits(self) -> Mapping[str, offload.Circuit]:
        """By model: how the link to the teacher stands."""
        return {name: model.state.breaker.circuit for name, model in self._models.items()}

    def set_warn_policy(self, model: str, policy: WarnPolicy | None) -> None:
        """Take over EdgeModel.spec.warn."""
        self._watch.set_policy(model, policy)

    def submit(self, jobs: Sequence[Job]) -> None:
        now_s = self._clock()
        good = [job for job in jobs if not job.request.parameters or _is_stamped_well(job)]
        self._local.submit([Job(job.request, job.context, partial(self._locally_answered, job, now_s)) for job in good])

    def _locally_answered(self, job: Job, started_s: float, answer: Answer) -> None:
        if isinstance(answer, errors.SkerryError):
            self._count_error(job.request, answer)
            job.finish(answer)
            return
        manifest = self._versions.get(answer.digest)
        outputs = local_answer.outputs_of(answer, manifest)
        if manifest is None or outputs is None:  # no answer of the task: nothing to be sure of
            job.finish(answer)
            latency_s = self._clock() - started_s
            self._load.answered(answer.model, answer.digest, (), latency_s, offloaded=False, degraded=False)
            return
        calibration = manifest.confidence
        held = self.privacy_of(answer.model)
        if held.leave is privacy.Leave.CLOUD and not held.redact:  # a sum tells of its rows
            self._load.inputs.see(answer.model, answer.digest, job.request.inputs[0].data, started_s)
        confidences = manifest.task.confidences(outputs, calibration)
        local = LocalAnswer(job, answer, outputs, manifest.task, calibration, confidences, confidences, started_s)
        if self._watch.watches:
            self._watch.answered(manifest, answer.digest, job.request, outputs)
        if self._residuals.knows_sources:
            most = self._residuals.confidence(answer.digest, manifest, job.request.parameters)
            local.sure = [min(sure, most) for sure in confidences] if most < 1 else confidences
        if manifest.state:
            local.step = self._step(local, manifest.window)
        self._decide(local)

    def _step(self, local: LocalAnswer, size: int) -> Step:
        """Now, for the window moves on with the next step. There is none without a `size`, or without room."""
        window = local.reply.window
        if not isinstance(window, Window):
            return Step(0 if size else None)
        new, policy = local.job.request.inputs[0].shape[1], self._model(local.reply.model).capture
        sure, threshold = local.sure[0], local.calibration.threshold
        overlap = local.task.waits_for_truth  # its holdout goes by time, with an embargo
        kind = self._sample.choose_window(window, new, sure, threshold, policy, may_overlap=overlap)
        is_wanted = window.is_full and (kind is not None or sure < threshold)
        return Step(len(window), window.is_full, window.tensor() if is_wanted else None, kind)

    def _count_error(self, request: InferRequest, error: errors.SkerryError) -> None:
        """Errors that are not the caller's fault alone: rollouts compare how many there are with each version."""
        serving, before = self._latest.get(request.model, ""), self._before.get(request.model, "")
        if not isinstance(error, errors.InputError):
            self._load.failed(request.model, serving)
        elif refusals.speaks_against_version(request, error, self._versions.get(serving), self._versions.get(before)):
            self._load.refused(request.model, serving)

    def _decide(self, local: LocalAnswer) -> None:
        model, context = self._model(local.reply.model), local.job.context
        now_s = self._clock()
        remaining_s = None if context.deadline is None else context.remaining_s(now_s)
        question = offload.Question(
            confidence=min(local.sure),
            threshold=local.calibration.threshold,
            rows=len(local.confidences),
            remaining_s=0.0 if context.call is not None and context.call.done else remaining_s,
            has_teacher=self._remote is not None,
            is_step=local.step is not None and not local.step.is_full,
        )
        decision, model.state = offload.decide(question, model.policy, model.state, now_s=now_s)
        if decision.route is offload.Route.CLOUD and self._remote is not None:
            task = asyncio.get_running_loop().create_task(self._ask(self._remote, local, model, decision))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            self._finish(local, local.reply, decision)

    async def _ask(self, remote: Remote, local: LocalAnswer, model: _Model, decision: offload.Decision) -> None:
        """The cloud's answer, or the local one when it does not come, is an error, or is no answer to this request."""
        context = local.job.context
        asked = replace(local_answer.teachable(local), version="", outputs=(), parameters={}, form=None)
        if redact := model.capture.redact:
            if fault := redaction.fault(redact, asked.inputs):
                if fault != model.told_fault:
                    log.warning("redaction_does_not_fit", model=asked.model, message=f"{fault}; such rows stay here")
                    model.told_fault = fault
                self._finish(local, local.reply, offload.PRIVATE)
                return
            asked = replace(asked, inputs=tuple(redaction.apply(redact, tensor) for tensor in asked.inputs))
        try:
            async with asyncio.timeout(decision.timeout_s):
                reply = await remote.infer(
                    asked, decision.timeout_s, traceparent=context.traceparent, tracestate=context.tracestate
                )
            reply = local_answer.as_local(reply, local, redaction.told(redact))
        except (errors.SkerryError, TimeoutError) as exc:
            before = model.state.breaker.circuit
            decision, model.state = offload.unanswered(model.policy, model.state, now_s=self._clock())
            if model.state.breaker.circuit is not before:
                # What the teacher says may quote the row.
                said = str(exc) if model.privacy == privacy.OPEN else type(exc).__name__
                log.warning("circuit_opened", model=local.reply.model, message=said)
            self._finish(local, local.reply, decision)
            return
        if model.state.breaker.circuit is offload.Circuit.HALF_OPEN:
            log.info("circuit_closed", model=local.reply.model)
        model.state = offload.answered(model.state)
        self._finish(local, reply, decision)

    def _finish(self, local: LocalAnswer, reply: InferReply, decision: offload.Decision) -> None:
        """Perhaps keep what is answered, answer the caller, and count it."""
        parameters = {**reply.parameters, **local_answer.parameters(local, reply, decision)}
        is_kept = local.step is None or local.step.kind is not None
        if is_kept and (told := self._captured(local, decision)):
            parameters.update(told)
        local.job.finish(
            InferReply(reply.model, reply.version, reply.outputs, reply.id, parameters, reply.digest, reply.form)
        )
        self._load.answered(
            local.reply.model,
            local.reply.digest,
            local.confidences,
            time.perf_counter() - local.started_s,
            offloaded=decision.route is offload.Route.CLOUD,
            degraded=decision.degraded,
        )

    def _captured(self, local: LocalAnswer, decision: offload.Decision) -> Mapping[str, Parameter]:
        """Perhaps keep it; what its caller is told then."""
        model = self._model(local.reply.model)
        answered = sampler.AnsweredRequest(
            local_answer.teachable(local),
            local.reply.digest,
            local.outputs,
            local.sure,
            local.calibration.threshold,
            decision,
            local.task,
            None if local.step is None else local.step.kind,
        )
        model.cap, told = self._sample(answered, model.capture, model.cap, self._clock())
        return told

    def _model(self, name: str) -> _Model:
        model = self._models.get(name)
        if model is None:
            now_s, spec = self._clock(), specs.OffloadSpec()
            held, policy, capture = self._bounded(name, spec, privacy.OPEN)
            state, cap = offload.State.start(policy, now_s), sampling.start(capture, now_s)
            model = self._models[name] = _Model(policy, capture, state, cap, held)
        return model


def _is_stamped_well(job: Job) -> bool:
    """Is the series that its caller names one? Otherwise it is answered so: a row of another time would be learned."""
    try:
        series_stamp.of(job.request.parameters)
        subjects.of(job.request.parameters)
    except errors.InputError as exc:
        job.finish(exc)
        return False
    return True
