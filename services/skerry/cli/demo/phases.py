"""The demo's plot: stage, clean cameras, drifting cameras, the loop closes by itself, the cameras after.

A fault joins in where its name says. What is decided about models is decided by the product; this file only waits and
looks.
"""

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np

from skerry.cli.demo import asking, cameras, chronicle, digits, stage
from skerry.cli.demo.chronicle import Look
from skerry.cli.demo.digits import Images
from skerry.cli.demo.plot import Plot
from skerry.cli.demo.set import Set, all_nodes_on, write_json
from skerry.cli.demo.traffic import Scene
from skerry.core import errors

CLEAN_S, AFTER_S = 18.0, 18.0
RUN_S, ROLLOUT_S = 240.0, 150.0


def unchanged(images: Images) -> Images:
    return images


def opening_scene(data: digits.Digits) -> Scene:
    return Scene("clean", data.early, unchanged)


async def play(plot: Plot, stage_set: Set) -> None:
    """Play it to the end. Raises UnavailableError when something awaited does not come."""
    await asyncio.to_thread(stage_set.system.start, stage_set.view.step)
    stage_set.tell("phase", f"{len(stage_set.system.processes)} processes are up: {_addresses(stage_set)}")
    stage_set.begin()
    try:
        await _set_up(plot, stage_set)
        stage_set.roll()
        async with _phase(plot, stage_set, "clean", "clean cameras"):
            await stage_set.play(CLEAN_S, "the cameras show clean digits")
        stage_set.scene(phase="drift", change=_drifting(1))
        async with _phase(plot, stage_set, "drift", "the cameras change: inversion, rotation, noise"):
            await _close_the_loop(plot, stage_set)
        if plot.fault is None or plot.fault.closes_loop:
            stage_set.scene(phase="after", images=plot.data.late)
            async with _phase(plot, stage_set, "after", "the same drifting cameras, new images"):
                await stage_set.play(AFTER_S, "measuring the new version")
        if plot.fault is not None:
            stage_set.scene(phase="fault")
            await plot.fault.afterwards(plot, stage_set)
        await stage_set.cut()
        if plot.fault is not None:
            await plot.fault.judge(plot, stage_set)
    finally:
        await stage_set.cut()
        await stage_set.end()


class _phase(contextlib.AbstractAsyncContextManager[None]):  # noqa: N801 — reads as a keyword
    def __init__(self, plot: Plot, stage_set: Set, name: str, text: str) -> None:
        self._plot, self._set, self._name, self._text = plot, stage_set, name, text

    async def __aenter__(self) -> None:
        self._began = self._set.now()
        self._set.tell("phase", f"phase {self._name}: {self._text}")

    async def __aexit__(self, *_: object) -> None:
        self._plot.phases.append((self._name, self._began, self._set.now()))


def _addresses(stage_set: Set) -> str:
    """Where everything listens: loopback only, on ports that were free."""
    ports = stage_set.system.ports
    agents = ", ".join(f"{node} {grpc}" for node, (grpc, _) in ports.agents.items())
    return (
        f"dashboard http://127.0.0.1:{ports.dashboard}, gRPC on 127.0.0.1: gateway {ports.gateway}, "
        f"teacher {ports.teacher}, {agents}"
    )


def _drifting(seed: int) -> Callable[[Images], Images]:
    rng = np.random.default_rng(seed)
    return lambda images: cameras.drift(images, rng)


async def _set_up(plot: Plot, stage_set: Set) -> None:
    """Through the doors a user takes: import data, describe the model, make a teacher, train, roll out."""
    folder = stage_set.system.layout.root / "stage"
    folder.mkdir(exist_ok=True)
    base = [plot.data.train, plot.data.holdout]
    x, y = np.concatenate([part.x for part in base]), np.concatenate([part.y for part in base])
    np.savez(folder / "digits.npz", x=x, y=y, holdout=np.arange(len(x)) >= len(plot.data.train.x))
    description = stage.edge_model(plot.network, "", automatic=True, tolerant=False)
    stage_set.view.step("importing 3,800 digits, 2,000 of them as the holdout")
    await stage_set.skerry("models", "apply", str(write_json(folder / "digits.json", description)))
    await stage_set.skerry("datasets", "import", str(folder / "digits.npz"), "--model", stage.MODEL)
    await stage_set.until("the dataset is known", _has_dataset, 10)
    plot.dataset = str(stage_set.seen.of("EdgeModel")[stage.MODEL].spec["datasetDigest"])
    stage_set.view.step("training the teacher")
    stage_set.tell("training", "the teacher, a larger network, trains with generic augmentation (half a minute)")
    await stage_set.skerry("teach", stage.MODEL)
    plot.teacher_clean, plot.teacher_drift = await asking.teacher_accuracy(plot.data, stage_set)
    stage_set.tell(
        "training",
        f"the teacher is ready: {plot.teacher_clean:.3f} on clean, {plot.teacher_drift:.3f} on drifted images",
    )
    await stage_set.skerry("retrain", stage.MODEL)
    await stage_set.until("the first version is trained", lambda look: bool(_available(look)), RUN_S)
    plot.first = _available(stage_set.seen)[0]
    await stage_set.until(
        "every node serves it", lambda look: all_nodes_on(look, plot.first, stage_set.system.nodes), ROLLOUT_S
    )
    await stage_set.until("its rollout has succeeded", lambda look: _succeeded(look, 1), ROLLOUT_S)


async def _close_the_loop(plot: Plot, stage_set: Set) -> None:
    """The policy fires by itself; wait for the run, the version and the rollout it leads to."""
    if plot.fault is not None:
        await plot.fault.during_drift(plot, stage_set)
    await stage_set.until("the retrain policy fires", lambda look: len(look.of("TrainingRun")) >= 2, RUN_S)
    # from here on the cameras show images that the pinned dataset cannot hold
    stage_set.scene(images=plot.data.late)
    if plot.fault is not None:
        await plot.fault.during_training(plot, stage_set)
    await stage_set.until("the new version has passed its gates", _second_version_or_failure, RUN_S)
    made = _available(stage_set.seen)
    if len(made) < 2:
        run = chronicle.newest(stage_set.seen.of("TrainingRun"))[-1]
        raise errors.RejectedError(f"{run.name} made no version: {chronicle.condition(run, 'Succeeded')}")
    plot.target = made[1]
    # one retraining is enough for a demo: without this the policy goes on as the cameras do
    enough = write_json(stage_set.system.layout.root / "stage" / "enough.json", stage.NO_MORE_RUNS)
    await stage_set.skerry("models", "apply", str(enough))
    if plot.fault is not None and await plot.fault.during_rollout(plot, stage_set):
        return
    await stage_set.until("the rollout has succeeded", lambda look: _succeeded(look, 2), ROLLOUT_S)


def _has_dataset(look: Look) -> bool:
    model = look.of("EdgeModel").get(stage.MODEL)
    return model is not None and bool(model.spec.get("datasetDigest"))


def _available(look: Look) -> list[str]:
    """Digests of the published versions, oldest first."""
    versions = sorted(look.of("ModelVersion").values(), key=lambda one: int(one.spec["version"]))
    return [one.spec["digest"] for one in versions if chronicle.condition(one, "Available").get("status") == "True"]


def _second_version_or_failure(look: Look) -> bool:
    runs = chronicle.newest(look.of("TrainingRun"))
    failed = len(runs) >= 2 and chronicle.condition(runs[1], "Succeeded").get("status") == "False"
    return bool(failed) or len(_available(look)) >= 2


def _succeeded(look: Look, count: int) -> bool:
    rollouts = look.of("ModelRollout").values()
    done = [bool(chronicle.condition(one, "Succeeded").get("status") == "True") for one in rollouts]
    return sum(done) >= count
