"""The demo's phases: set-up, clean cameras, drifting cameras, the loop closes by itself, the cameras after.

A fault joins in where its name says. What is decided about models is decided by the product; this file only waits and
looks.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skerry.cli.demo import digits, digits_model, event_log, measurements
from skerry.cli.demo.digits import Split
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.demo.scenario import Scenario
from skerry.cli.demo.session import Session, all_nodes_on, write_json
from skerry.cli.demo.traffic import Scene
from skerry.core import errors, specs

CLEAN_S, AFTER_S = 18.0, 18.0
RUN_S, ROLLOUT_S = float(specs.RetrainSpec().timeout_s), 150.0  # as long as a run itself may take


def opening_scene(data: digits.Digits) -> Scene:
    return Scene("clean", data.clean)


async def run(scenario: Scenario, session: Session) -> None:
    """Run every phase. Raises UnavailableError when something awaited does not come."""
    await asyncio.to_thread(session.system.start, session.view.step)
    session.tell("phase", f"{len(session.system.processes)} processes are up: {_addresses(session)}")
    session.begin()
    try:
        await _set_up(scenario, session)
        session.start_cameras()
        async with _phase(scenario, session, "clean", "clean cameras"):
            await session.play(CLEAN_S, "the cameras show clean digits")
        session.scene(phase="drift", images=scenario.data.replay)
        async with _phase(scenario, session, "drift", "the cameras change: digits of other people, by another scanner"):
            await _close_the_loop(scenario, session)
        if scenario.fault is None or scenario.fault.closes_loop:
            session.scene(phase="after", images=scenario.data.final)
            async with _phase(scenario, session, "after", "the new version, on images that nothing learned from"):
                await session.play(AFTER_S, "measuring the new version")
        if scenario.fault is not None:
            session.scene(phase="fault")
            await scenario.fault.afterwards(scenario, session)
        await session.stop_cameras()
        if scenario.fault is not None:
            await scenario.fault.judge(scenario, session)
    finally:
        await session.stop_cameras()
        await session.end()


class _phase(contextlib.AbstractAsyncContextManager[None]):  # noqa: N801 — reads as a keyword
    def __init__(self, scenario: Scenario, session: Session, name: str, text: str) -> None:
        self._scenario, self._session, self._name, self._text = scenario, session, name, text

    async def __aenter__(self) -> None:
        self._began = self._session.now()
        self._session.tell("phase", f"phase {self._name}: {self._text}")

    async def __aexit__(self, *_: object) -> None:
        self._scenario.phases.append((self._name, self._began, self._session.now()))


def _addresses(session: Session) -> str:
    """Where everything listens: loopback only, on ports that were free."""
    ports = session.system.ports
    agents = ", ".join(f"{node} {grpc}" for node, (grpc, _) in ports.agents.items())
    return (
        f"dashboard http://127.0.0.1:{ports.dashboard}, gRPC on 127.0.0.1: gateway {ports.gateway}, "
        f"teacher {ports.teacher}, {agents}"
    )


async def _set_up(scenario: Scenario, session: Session) -> None:
    """Through the doors a user takes: import data, describe the model, make a teacher, train, roll out."""
    folder, data = session.system.layout.root / "stage", scenario.data
    folder.mkdir(exist_ok=True)
    description = digits_model.edge_model(scenario.network, "", automatic=True, tolerant=False)
    await session.skerry("models", "apply", str(write_json(folder / "digits.json", description)))
    await _teach(scenario, session, folder)
    session.view.step(f"importing {len(data.train.x):,} digits, and {len(data.holdout.x):,} as the holdout")
    scenario.dataset = await _import(session, folder / "digits.npz", [data.train], data.holdout)
    await session.skerry("retrain", digits_model.MODEL)
    await session.until("the first version is trained", lambda snapshot: bool(_available(snapshot)), RUN_S)
    scenario.first = _available(session.seen)[0]
    await session.until(
        "every node serves it", lambda snapshot: all_nodes_on(snapshot, scenario.first, session.system.nodes), ROLLOUT_S
    )
    await session.until("its rollout has succeeded", lambda snapshot: _succeeded(snapshot, 1), ROLLOUT_S)


async def _teach(scenario: Scenario, session: Session, folder: Path) -> None:
    """The teacher knows both populations, as a large network in the cloud has seen more than one site; what it learns
    from is then replaced by the base dataset, so that the first version knows one."""
    data = scenario.data
    session.view.step(f"importing {len(data.train.x) + len(data.taught.x):,} digits for the teacher")
    await _import(session, folder / "taught.npz", [data.train, data.taught], data.holdout)
    session.view.step("training the teacher")
    session.tell("training", "the teacher, a larger network, trains with digits of both populations (half a minute)")
    await session.skerry("teach", digits_model.MODEL)
    scenario.teacher_clean, scenario.teacher_drift = await measurements.teacher_accuracy(data, session)
    session.tell(
        "training",
        f"the teacher is ready: {scenario.teacher_clean:.3f} on clean, {scenario.teacher_drift:.3f} on other digits",
    )


async def _import(session: Session, file: Path, parts: Sequence[Split], holdout: Split) -> str:
    """Import `parts` to train on; returns the dataset's digest once it is the model's."""
    every = [*parts, holdout]
    x, y = np.concatenate([part.x for part in every]), np.concatenate([part.y for part in every])
    np.savez(file, x=x, y=y, holdout=np.arange(len(x)) >= len(x) - len(holdout.x))
    before = _dataset(session.seen)
    await session.skerry("datasets", "import", str(file), "--model", digits_model.MODEL)
    await session.until("the dataset is known", lambda snapshot: _dataset(snapshot) not in ("", before), 10)
    return _dataset(session.seen)


async def _close_the_loop(scenario: Scenario, session: Session) -> None:
    """The policy fires by itself; wait for the run, the version and the rollout it leads to."""
    if scenario.fault is not None:
        await scenario.fault.during_drift(scenario, session)
    await session.until("the retrain policy fires", lambda snapshot: len(snapshot.of("TrainingRun")) >= 2, RUN_S)
    # from here on the cameras show images that the pinned dataset cannot hold
    session.scene(images=scenario.data.final)
    if scenario.fault is not None:
        await scenario.fault.during_training(scenario, session)
    await session.until("the new version has passed its gates", _second_version_or_failure, RUN_S)
    published = _available(session.seen)
    if len(published) < 2:
        run = event_log.newest(session.seen.of("TrainingRun"))[-1]
        raise errors.RejectedError(f"{run.name} made no version: {event_log.condition(run, 'Succeeded')}")
    scenario.target = published[1]
    # one retraining is enough for a demo: without this the policy goes on as the cameras do
    enough = write_json(session.system.layout.root / "stage" / "enough.json", digits_model.NO_MORE_RUNS)
    await session.skerry("models", "apply", str(enough))
    if scenario.fault is not None and await scenario.fault.during_rollout(scenario, session):
        return
    await session.until("the rollout has succeeded", lambda snapshot: _succeeded(snapshot, 2), ROLLOUT_S)


def _dataset(snapshot: Snapshot) -> str:
    """Digest of the model's imported dataset; empty: none is known."""
    model = snapshot.of("EdgeModel").get(digits_model.MODEL)
    return str(model.spec.get("datasetDigest", "")) if model is not None else ""


def _available(snapshot: Snapshot) -> list[str]:
    """Digests of the published versions, oldest first."""
    versions = sorted(snapshot.of("ModelVersion").values(), key=lambda version: int(version.spec["version"]))
    return [
        version.spec["digest"]
        for version in versions
        if event_log.condition(version, "Available").get("status") == "True"
    ]


def _second_version_or_failure(snapshot: Snapshot) -> bool:
    runs = event_log.newest(snapshot.of("TrainingRun"))
    failed = len(runs) >= 2 and event_log.condition(runs[1], "Succeeded").get("status") == "False"
    return bool(failed) or len(_available(snapshot)) >= 2


def _succeeded(snapshot: Snapshot, count: int) -> bool:
    rollouts = snapshot.of("ModelRollout").values()
    done = [bool(event_log.condition(rollout, "Succeeded").get("status") == "True") for rollout in rollouts]
    return sum(done) >= count
