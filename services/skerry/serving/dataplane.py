"""The data plane: a request against the manifest, into the batch of its version. Knows no transport and no cloud.

Everything that is the caller's fault is found here, before the request can share a run with others.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from skerry.core import errors, sequences, tensors
from skerry.core.inference import InferRequest
from skerry.serving.batch_rules import QueuedRequest
from skerry.serving.batching import Batcher
from skerry.serving.metrics import OTHER, ServingMetrics, outcome_of
from skerry.serving.predictor import Job
from skerry.serving.registry import Registry
from skerry.serving.version import Admitted, Version

_MAX_FORMS = 256


class DataPlane:
    """A Predictor that answers with the versions of `registry`, on the running loop."""

    def __init__(self, registry: Registry, instruments: ServingMetrics) -> None:
        self._registry, self._instruments = registry, instruments
        self._clock = asyncio.get_running_loop().time  # to ask for the running loop each time is a system call

    def submit(self, jobs: Sequence[Job]) -> None:
        """Answer all of them: what arrived in one turn of the loop is one run."""
        now = self._clock()
        admitted: dict[Batcher, list[QueuedRequest]] = {}
        for job in jobs:
            version: Version | None = None
            try:
                version = self._registry.find(job.request)
                batcher, work = self._admit(version, job, now)
            except errors.SkerryError as exc:
                series = (version.model, str(version.number)) if version is not None else (OTHER, OTHER)
                self._instruments.requests.add((*series, outcome_of(exc)))
                job.finish(exc)
            else:
                admitted.setdefault(batcher, []).append(work)
        for batcher, works in admitted.items():
            batcher.submit(works, now)

    def _admit(self, version: Version, job: Job, now: float) -> tuple[Batcher, QueuedRequest]:
        """Raises InputError naming what is wrong."""
        request = job.request
        if version.states is not None:
            return self._admit_step(version, job, now)
        inputs, (rows, shape, size_bytes) = _fitting(request, version)
        return version.batcher, QueuedRequest(job, inputs, rows, shape, size_bytes, now)

    def _admit_step(self, version: Version, job: Job, now: float) -> tuple[Batcher, QueuedRequest]:
        request = job.request
        ask = sequences.read(request.parameters, request.model)
        version = self._registry.holder(version, ask)
        inputs, (rows, shape, size_bytes) = _fitting(request, version)
        if ask is not None and rows != 1:
            raise errors.InputError(f"a step of a sequence is one row; sequence {ask.key!r} sent {rows}")
        return version.batcher, QueuedRequest(job, inputs, rows, shape, size_bytes, now, ask)


def _fitting(request: InferRequest, version: Version) -> tuple[list[NDArray[Any]], Admitted]:
    """The inputs in the manifest's order. What was checked for a form once holds for all its requests. Raises
    InputError."""
    if request.form is not None:
        known = version.admitted.get(request.form)
        if known is not None:
            return [tensor.data for tensor in request.inputs], known
    given = _in_order(request, version.manifest.inputs)
    admitted = _check(request, version, given)
    if request.form is not None and given is request.inputs:
        if len(version.admitted) >= _MAX_FORMS:
            version.admitted.clear()
        version.admitted[request.form] = admitted
    return [tensor.data for tensor in given], admitted


def _check(request: InferRequest, version: Version, given: Sequence[tensors.Tensor]) -> Admitted:
    rows = given[0].shape[0]
    version.bound.check_rows(rows)
    size_bytes = 0
    for tensor, spec in zip(given, version.manifest.inputs, strict=True):
        if tensor.shape[0] != rows:
            raise errors.InputError(
                f"input {spec.name!r} has {tensor.shape[0]} rows, input {given[0].name!r} has {rows}"
            )
        size_bytes += tensors.size_bytes(tensor.data)
    if request.outputs:
        _check_outputs(request, version.manifest.outputs)
    shape = tensors.free_sizes(version.manifest.inputs, [tensor.shape for tensor in given])
    return Admitted(rows, shape, size_bytes)


def _in_order(request: InferRequest, specs: Sequence[tensors.Spec]) -> Sequence[tensors.Tensor]:
    """The inputs in the manifest's order, each checked against it."""
    given = request.inputs
    if len(given) != len(specs) or any(tensor.name != spec.name for tensor, spec in zip(given, specs, strict=True)):
        by_name = {tensor.name: tensor for tensor in given}
        wanted = ", ".join(spec.name for spec in specs)
        if len(by_name) != len(given):
            raise errors.InputError(f"an input is there twice; model {request.model!r} takes {wanted}")
        for spec in specs:
            if spec.name not in by_name:
                raise errors.InputError(f"input {spec.name!r} is missing; model {request.model!r} takes {wanted}")
        if extra := by_name.keys() - {spec.name for spec in specs}:
            raise errors.InputError(f"input {min(extra)[:80]!r} is unknown; model {request.model!r} takes {wanted}")
        given = tuple(by_name[spec.name] for spec in specs)
    for tensor, spec in zip(given, specs, strict=True):
        tensors.check(tensor, spec)
    return given


def _check_outputs(request: InferRequest, specs: Sequence[tensors.Spec]) -> None:
    names = {spec.name for spec in specs}
    if unknown := [name for name in request.outputs if name not in names]:
        raise errors.InputError(
            f"output {unknown[0][:80]!r} is unknown; model {request.model!r} has {', '.join(sorted(names))}"
        )
