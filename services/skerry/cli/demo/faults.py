"""The demo's faults: each does its harm at the place its name says, states what should follow, and checks whether it
did. The harm is done from outside; no part of the product has a branch for it."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import digits_model, event_log, measurements
from skerry.cli.demo.scenario import Fault, Scenario
from skerry.cli.demo.session import Session, write_json
from skerry.core import contract

OUTAGE_S = 8.0
SETTLE_S = 90.0


class BadVersion(Fault):
    name = "bad-version"
    expected = (
        "a version trained and judged without the drifted cameras passes its offline gates, is worse in the field, "
        "is found at the canary and rolled back; the other nodes never leave the stable version"
    )

    async def afterwards(self, scenario: Scenario, session: Session) -> None:
        session.tell("fault", "somebody retrains on the old dataset, which knows nothing of the new cameras")
        await session.skerry("retrain", digits_model.MODEL, "--dataset", scenario.dataset)
        await session.until(
            "the bad version has passed its offline gates", lambda snapshot: len(_published(snapshot)) >= 3, 240
        )
        await session.until("its rollout has ended", lambda snapshot: _ended(snapshot, 3), 240)
        await session.until(
            "every node is on the stable version again",
            lambda snapshot: all(
                digest == scenario.target for digest, _ in event_log.nodes_on(snapshot, digits_model.MODEL).values()
            ),
            SETTLE_S,
        )

    async def judge(self, scenario: Scenario, session: Session) -> None:
        assert session.traffic is not None
        bad = _published(session.seen)[2]
        rollout = event_log.newest(session.seen.of("ModelRollout"))[2]
        verdict = rollout.status["waves"][0].get("verdict") or {}
        served = {answer.node for answer in session.traffic.answers if answer.digest == bad}
        served |= {node for node, digests in session.digests.items() if bad in digests}
        canaries = set(rollout.status["waves"][0]["nodes"])
        self.seen.append(f"rollout {rollout.name} ended as {rollout.status.get('phase')}")
        self.seen.append(f"canary verdict {verdict.get('result')}: {verdict.get('reason')}")
        self.seen.append(f"the bad version served on {', '.join(sorted(served)) or 'no node'}")
        self.ok = verdict.get("result") == "Fail" and rollout.status.get("phase") == "RolledBack"
        self.ok = self.ok and len(canaries) == 1 and served == canaries


class Corrupt(Fault):
    name = "corrupt"
    expected = "the damaged artifact is refused by every agent, once each, and the old version serves on"
    closes_loop = False

    async def during_training(self, scenario: Scenario, session: Session) -> None:
        """Publishing and rolling out are two steps this time, so that the harm comes in between."""
        folder = session.system.layout.root / "stage"
        description = digits_model.edge_model(scenario.network, scenario.dataset, automatic=False, tolerant=True)
        await session.skerry("models", "apply", str(write_json(folder / "tolerant.json", description)))

    async def during_rollout(self, scenario: Scenario, session: Session) -> bool:
        version = _version_of(session, scenario.target)
        damaged = await asyncio.to_thread(
            measurements.damage, session.system.layout.repository / "targets" / version.spec["targetPath"], "model.onnx"
        )
        session.tell("fault", f"one byte of {damaged.name} in the repository is flipped")
        await session.skerry("rollout", "start", version.name)
        await session.until("the rollout of the damaged version has ended", lambda snapshot: _ended(snapshot, 2), 150)
        await session.play(10, "do the agents leave it alone from here on?")
        return True

    async def judge(self, scenario: Scenario, session: Session) -> None:
        serving = event_log.nodes_on(session.seen, digits_model.MODEL)
        rollout = event_log.newest(session.seen.of("ModelRollout"))[-1]
        number = _version_of(session, scenario.target).spec["version"]
        logs = {node: session.system.layout.log(node) for node in session.system.nodes}
        verified = {node: await asyncio.to_thread(measurements.refusals, log, number) for node, log in logs.items()}
        self.seen.append(f"refusals: {', '.join(f'{node} {count}' for node, count in verified.items())}")
        self.seen.append(f"rollout {rollout.name} ended as {rollout.status.get('phase')}")
        self.seen.append(f"serving: {', '.join(f'{node} v{version}' for node, (_, version) in serving.items())}")
        once = all(count == 1 for count in verified.values())
        self.ok = once and all(digest == scenario.first for digest, _ in serving.values())
        self.ok = self.ok and rollout.status.get("phase") in ("RolledBack", "Failed") and _nothing_lost(session, self)


class CloudDown(Fault):
    name = "cloud-down"
    expected = (
        "with gateway, teacher and Valkey killed every request is still answered, nothing captured is lost, and all of "
        "it is uploaded once after they return"
    )

    async def during_drift(self, scenario: Scenario, session: Session) -> None:
        await session.play(4, "drifting cameras, the cloud still there")
        session.tell("fault", "gateway, teacher and Valkey are killed")
        await asyncio.to_thread(session.system.hold, "gateway", "teacher", "valkey", kill=True)
        self._dark_since = session.now()
        await session.play(OUTAGE_S, "the cloud is gone; the edge answers by itself")
        self._dark_until = session.now()
        await asyncio.to_thread(session.system.restart, "valkey", "gateway", "teacher")
        session.tell("fault", "gateway, teacher and Valkey are back")

    async def judge(self, scenario: Scenario, session: Session) -> None:
        assert session.traffic is not None
        dark = [one for one in session.traffic.answers if self._dark_since <= one.at_s <= self._dark_until]
        answered = [one for one in dark if not one.error]
        self.seen.append(f"{len(answered)} of {len(dark)} requests answered while the cloud was gone")
        spools = await measurements.drained_spools(session)
        captured = sum(spool.captured for spool in spools.values())
        dropped = sum(spool.dropped for spool in spools.values())
        pending = sum(spool.pending for spool in spools.values())
        examples = contract.examples_folder(digits_model.MODEL)
        stored = await asyncio.to_thread(lambda: sum(1 for _ in session.blobs.list(examples)))
        self.seen.append(f"captured {captured}, stored {stored}, dropped {dropped}, still pending {pending}")
        self.ok = len(answered) == len(dark) > 0 and captured == stored and not dropped and not pending
        self.ok = _nothing_lost(session, self) and self.ok


class NodeOffline(Fault):
    name = "node-offline"
    expected = "with one agent gone during the rollout the others finish; it catches up when it returns"
    node: ClassVar[str] = digits_model.NODES[-1]

    async def during_training(self, scenario: Scenario, session: Session) -> None:
        assert session.traffic is not None
        session.traffic.switch_off(self.node)
        await session.play(1, f"the cameras of {self.node} are switched off")
        await asyncio.to_thread(session.system.hold, self.node)
        session.tell("fault", f"{self.node} and its cameras are gone")

    async def during_rollout(self, scenario: Scenario, session: Session) -> bool:
        assert session.traffic is not None
        await session.until("the others have finished", lambda snapshot: _ended(snapshot, 2), 150)
        rollout = event_log.newest(session.seen.of("ModelRollout"))[1]
        succeeded = event_log.condition(rollout, "Succeeded").get("status") == "True"
        deferred = rollout.status.get("deferred", [])
        self.seen.append(f"rollout {rollout.name}: {rollout.status.get('phase')}, deferred {deferred}")
        self._finished = succeeded and deferred == [self.node]
        await asyncio.to_thread(session.system.restart, self.node)
        session.tell("fault", f"{self.node} returns")
        await session.until(
            f"{self.node} has caught up",
            lambda snapshot: event_log.nodes_on(snapshot, digits_model.MODEL)[self.node][0] == scenario.target,
            SETTLE_S,
        )
        session.traffic.switch_on(self.node)
        return True

    async def judge(self, scenario: Scenario, session: Session) -> None:
        digest, version = event_log.nodes_on(session.seen, digits_model.MODEL)[self.node]
        self.seen.append(f"{self.node} serves v{version} after its return")
        self.ok = self._finished and digest == scenario.target and _nothing_lost(session, self)


FAULTS: Mapping[str, type[Fault]] = {one.name: one for one in (BadVersion, Corrupt, CloudDown, NodeOffline)}


def _published(snapshot: event_log.Snapshot) -> list[str]:
    versions = sorted(snapshot.of("ModelVersion").values(), key=lambda version: int(version.spec["version"]))
    return [
        version.spec["digest"]
        for version in versions
        if event_log.condition(version, "Available").get("status") == "True"
    ]


def _ended(snapshot: event_log.Snapshot, count: int) -> bool:
    """Have `count` rollouts reached an end?"""
    ends = [event_log.condition(rollout, "Succeeded").get("status") for rollout in snapshot.of("ModelRollout").values()]
    return sum(status in ("True", "False") for status in ends) >= count


def _version_of(session: Session, digest: str) -> Object:
    return next(version for version in session.seen.of("ModelVersion").values() if version.spec["digest"] == digest)


def _nothing_lost(session: Session, fault: Fault) -> bool:
    assert session.traffic is not None
    lost = sum(bool(answer.error) for answer in session.traffic.answers)
    fault.seen.append(f"{lost} of {len(session.traffic.answers)} requests lost")
    return not lost
