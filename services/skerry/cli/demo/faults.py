"""The demo's faults: each does its harm at the place its name says, states what should come of it, and looks whether it
came. The harm is done from outside; no part of the product has a branch for it."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import asking, chronicle, stage
from skerry.cli.demo.plot import Fault, Plot
from skerry.cli.demo.set import Set, write_json

OUTAGE_S = 8.0
SETTLE_S = 90.0


class BadVersion(Fault):
    name = "bad-version"
    expected = (
        "a version trained and judged without the drifted cameras passes its offline gates, is worse in the field, "
        "is found at the canary and rolled back; the other nodes never leave the stable version"
    )

    async def afterwards(self, plot: Plot, stage_set: Set) -> None:
        stage_set.tell("fault", "somebody retrains on the old dataset, which knows nothing of the new cameras")
        await stage_set.skerry("retrain", stage.MODEL, "--dataset", plot.dataset)
        await stage_set.until(
            "the bad version has passed its offline gates", lambda look: len(_published(look)) >= 3, 240
        )
        await stage_set.until("its rollout has ended", lambda look: _ended(look, 3), 240)
        await stage_set.until(
            "every node is on the stable version again",
            lambda look: all(digest == plot.target for digest, _ in chronicle.nodes_on(look, stage.MODEL).values()),
            SETTLE_S,
        )

    async def judge(self, plot: Plot, stage_set: Set) -> None:
        assert stage_set.traffic is not None
        bad = _published(stage_set.seen)[2]
        rollout = chronicle.newest(stage_set.seen.of("ModelRollout"))[2]
        verdict = rollout.status["waves"][0].get("verdict") or {}
        served = {answer.node for answer in stage_set.traffic.answers if answer.digest == bad}
        served |= {node for node, digests in stage_set.digests.items() if bad in digests}
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

    async def during_training(self, plot: Plot, stage_set: Set) -> None:
        """Publishing and rolling out are two steps this time, so that the harm comes in between."""
        folder = stage_set.system.layout.root / "stage"
        description = stage.edge_model(plot.network, plot.dataset, automatic=False, tolerant=True)
        await stage_set.skerry("models", "apply", str(write_json(folder / "tolerant.json", description)))

    async def during_rollout(self, plot: Plot, stage_set: Set) -> bool:
        version = _version_of(stage_set, plot.target)
        damaged = await asyncio.to_thread(
            asking.damage, stage_set.system.layout.repository / "targets" / version.spec["targetPath"], "model.onnx"
        )
        stage_set.tell("fault", f"one byte of {damaged.name} in the repository is flipped")
        await stage_set.skerry("rollout", "start", version.name)
        await stage_set.until("the rollout of the damaged version has ended", lambda look: _ended(look, 2), 150)
        await stage_set.play(10, "do the agents leave it alone from here on?")
        return True

    async def judge(self, plot: Plot, stage_set: Set) -> None:
        serving = chronicle.nodes_on(stage_set.seen, stage.MODEL)
        rollout = chronicle.newest(stage_set.seen.of("ModelRollout"))[-1]
        number = _version_of(stage_set, plot.target).spec["version"]
        logs = {node: stage_set.system.layout.log(node) for node in stage_set.system.nodes}
        verified = {node: await asyncio.to_thread(asking.refusals, log, number) for node, log in logs.items()}
        self.seen.append(f"refusals: {', '.join(f'{node} {count}' for node, count in verified.items())}")
        self.seen.append(f"rollout {rollout.name} ended as {rollout.status.get('phase')}")
        self.seen.append(f"serving: {', '.join(f'{node} v{version}' for node, (_, version) in serving.items())}")
        once = all(count == 1 for count in verified.values())
        self.ok = once and all(digest == plot.first for digest, _ in serving.values())
        self.ok = self.ok and rollout.status.get("phase") in ("RolledBack", "Failed") and _nothing_lost(stage_set, self)


class CloudDown(Fault):
    name = "cloud-down"
    expected = (
        "with gateway, teacher and Valkey killed every request is still answered, nothing captured is lost, and all of "
        "it is uploaded once after they return"
    )

    async def during_drift(self, plot: Plot, stage_set: Set) -> None:
        await stage_set.play(4, "drifting cameras, the cloud still there")
        stage_set.tell("fault", "gateway, teacher and Valkey are killed")
        await asyncio.to_thread(stage_set.system.hold, "gateway", "teacher", "valkey", kill=True)
        self._dark_since = stage_set.now()
        await stage_set.play(OUTAGE_S, "the cloud is gone; the edge answers by itself")
        self._dark_until = stage_set.now()
        await asyncio.to_thread(stage_set.system.restart, "valkey", "gateway", "teacher")
        stage_set.tell("fault", "gateway, teacher and Valkey are back")

    async def judge(self, plot: Plot, stage_set: Set) -> None:
        assert stage_set.traffic is not None
        dark = [one for one in stage_set.traffic.answers if self._dark_since <= one.at_s <= self._dark_until]
        answered = [one for one in dark if not one.error]
        self.seen.append(f"{len(answered)} of {len(dark)} requests answered while the cloud was gone")
        spools = await asking.drained_spools(stage_set)
        captured = sum(spool.captured for spool in spools.values())
        dropped = sum(spool.dropped for spool in spools.values())
        pending = sum(spool.pending for spool in spools.values())
        stored = await asyncio.to_thread(lambda: sum(1 for _ in stage_set.blobs.list(f"examples/{stage.MODEL}")))
        self.seen.append(f"captured {captured}, stored {stored}, dropped {dropped}, still pending {pending}")
        self.ok = len(answered) == len(dark) > 0 and captured == stored and not dropped and not pending
        self.ok = _nothing_lost(stage_set, self) and self.ok


class NodeOffline(Fault):
    name = "node-offline"
    expected = "with one agent gone during the rollout the others finish; it catches up when it returns"
    node: ClassVar[str] = stage.NODES[-1]

    async def during_training(self, plot: Plot, stage_set: Set) -> None:
        assert stage_set.traffic is not None
        stage_set.traffic.switch_off(self.node)
        await stage_set.play(1, f"the cameras of {self.node} are switched off")
        await asyncio.to_thread(stage_set.system.hold, self.node)
        stage_set.tell("fault", f"{self.node} and its cameras are gone")

    async def during_rollout(self, plot: Plot, stage_set: Set) -> bool:
        assert stage_set.traffic is not None
        await stage_set.until("the others have finished", lambda look: _ended(look, 2), 150)
        rollout = chronicle.newest(stage_set.seen.of("ModelRollout"))[1]
        succeeded = chronicle.condition(rollout, "Succeeded").get("status") == "True"
        deferred = rollout.status.get("deferred", [])
        self.seen.append(f"rollout {rollout.name}: {rollout.status.get('phase')}, deferred {deferred}")
        self._finished = succeeded and deferred == [self.node]
        await asyncio.to_thread(stage_set.system.restart, self.node)
        stage_set.tell("fault", f"{self.node} returns")
        await stage_set.until(
            f"{self.node} has caught up",
            lambda look: chronicle.nodes_on(look, stage.MODEL)[self.node][0] == plot.target,
            SETTLE_S,
        )
        stage_set.traffic.switch_on(self.node)
        return True

    async def judge(self, plot: Plot, stage_set: Set) -> None:
        digest, version = chronicle.nodes_on(stage_set.seen, stage.MODEL)[self.node]
        self.seen.append(f"{self.node} serves v{version} after its return")
        self.ok = self._finished and digest == plot.target and _nothing_lost(stage_set, self)


FAULTS: Mapping[str, type[Fault]] = {one.name: one for one in (BadVersion, Corrupt, CloudDown, NodeOffline)}


def _published(look: chronicle.Look) -> list[str]:
    versions = sorted(look.of("ModelVersion").values(), key=lambda one: int(one.spec["version"]))
    return [one.spec["digest"] for one in versions if chronicle.condition(one, "Available").get("status") == "True"]


def _ended(look: chronicle.Look, count: int) -> bool:
    """Have `count` rollouts reached an end?"""
    ends = [chronicle.condition(one, "Succeeded").get("status") for one in look.of("ModelRollout").values()]
    return sum(status in ("True", "False") for status in ends) >= count


def _version_of(stage_set: Set, digest: str) -> Object:
    return next(one for one in stage_set.seen.of("ModelVersion").values() if one.spec["digest"] == digest)


def _nothing_lost(stage_set: Set, fault: Fault) -> bool:
    assert stage_set.traffic is not None
    lost = sum(bool(answer.error) for answer in stage_set.traffic.answers)
    fault.seen.append(f"{lost} of {len(stage_set.traffic.answers)} requests lost")
    return not lost
