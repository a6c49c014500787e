"""A cascade on a tiny real model, with a cloud that does as told."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np

from skerry.adapters.telemetry import metrics
from skerry.agent import cascade, residual_memory, warning_watch
from skerry.agent.capture import captured_row, sampler
from skerry.agent.sync import load_window
from skerry.agent.update import activation, version_store
from skerry.core import confidence, privacy, specs
from skerry.core.confidence import Outputs
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.serving.dataplane import DataPlane
from skerry.serving.metrics import ServingMetrics
from skerry.serving.predictor import Context, predict
from skerry.serving.registry import Registry
from skerry.serving.version import Options

SURE = [0.0, 0.0, 0.0, 10.0]  # class 2
UNSURE = [0.0, 0.0, 0.0, 0.0]  # all classes alike
TEACHER_DIGEST = "sha256:" + "7" * 64
OPEN_POLICY = specs.OffloadSpec(exploration_permille=0, hard_permille=1000)


def write(
    root: Path, number: int, *, scale: float = 1.0, threshold: float = 0.8, model: str = "digits", softmax: bool = False
) -> version_store.Slot:
    data = models.with_softmax(scale) if softmax else models.linear(scale)
    golden = None if softmax else models.linear_golden(scale)
    outputs = Outputs.PROBABILITIES if softmax else Outputs.LOGITS
    made = replace(
        models.manifest_for(model, data, [models.X], [models.LOGITS], golden=golden),
        confidence=confidence.Calibration(1.0, threshold, outputs=outputs),
    )
    folder = models.write(root, model, number, data, made, golden)
    return version_store.Slot(model, number, made.digest, folder)


class Teacher:
    """Answers class 1 for every row. `error` is raised instead; `delay_s` passes first; `shape` replaces the logits."""

    def __init__(self) -> None:
        self.asked: list[tuple[InferRequest, float]] = []
        self.error: Exception | None = None
        self.delay_s = 0.0
        self.edit: Callable[[Any], Any] = lambda logits: logits

    async def infer(
        self, request: InferRequest, timeout_s: float, *, traceparent: str = "", tracestate: str = ""
    ) -> InferReply:
        self.asked.append((request, timeout_s))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        rows = request.inputs[0].shape[0]
        logits = self.edit(np.tile(np.array([[0.0, 9.0, 0.0]], dtype=np.float32), (rows, 1)))
        return InferReply(request.model, "7", (Tensor.of("scores", logits),), digest=TEACHER_DIGEST)


class Node:
    """The serving half of an agent: registry, cascade, and a list of what it would keep."""

    def __init__(
        self,
        root: Path,
        *,
        has_teacher: bool = True,
        u: float = 0.5,
        serving: Options | None = None,
        floor: privacy.Floor = privacy.NO_FLOOR,
    ) -> None:
        instruments = ServingMetrics(metrics.Metrics())
        self.root, self.teacher = root, Teacher()
        self.registry = Registry(serving or Options(), instruments)
        self.kept: list[captured_row.CapturedRow] = []
        self.load = load_window.LoadWindow(asyncio.get_running_loop().time)
        self.u, self.has_room = u, True
        self.now_s = 1000.0
        self.watch = warning_watch.WarningWatch(lambda: int(1000 * self.now_s))
        self.residuals = residual_memory.ResidualMemory(lambda: self.now_s, self.load.settled, self.watch)
        sample = sampler.Sampler(self, lambda: self.u, lambda: 1_700_000_000_000, self, self.residuals.remember)  # type: ignore[arg-type]
        remote = self.teacher if has_teacher else None
        self.cascade = cascade.Cascade(
            DataPlane(self.registry, instruments), remote, sample, self.load, self.residuals, self.watch, floor
        )
        self.loader = activation.RegistryLoader(self.registry, self.cascade)

    def offer(self, answered: captured_row.CapturedRow) -> bool:
        if self.has_room:
            self.kept.append(answered)
        return self.has_room

    def name(self, model: str, request_id: str) -> tuple[str, str]:
        return f"answer to {request_id}", f"token of {request_id}"

    async def ask(self, *rows: list[float], remaining_s: float | None = None, **fields: Any) -> InferReply:
        deadline = None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s
        request = InferRequest("digits", (models.tensor(list(rows)),), **({"id": "r1"} | fields))
        return await predict(self.cascade, request, Context(deadline))


async def ready(root: Path, policy: specs.OffloadSpec = OPEN_POLICY, **options: Any) -> Node:
    """A node that serves version 3 of `digits` under `policy`."""
    node = Node(root, **options)
    await node.loader.swap(write(root, 3))
    node.cascade.set_policy("digits", policy)
    return node
