"""The invariants of rollouts, seen from outside: what agents really run, what was written, what the world allowed.

A `Witness` is told of every plan. It never asks the code under test whether it was right.
"""

import json
from dataclasses import replace

from rollout_world import FLEET, World

from skerry.core import rollout, specs
from skerry.core.rollout import planner
from skerry.core.rollout.status import OPERATOR

FRESH_MS = 15_000


class Witness:
    """Watches one world from its beginning."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ended: dict[tuple[str, int], rollout.Status] = {}
        self.frozen: dict[tuple[str, int], list[tuple[str, ...]]] = {}
        world.watch = self.planned

    def reported(self, name: str) -> str:
        """The digest that a node last reported as loaded."""
        return str(json.loads(self.world.reports[name][0]).get("digest", ""))

    def published(self, name: str) -> int:
        """The number of the last permit that was written for a node."""
        held = json.loads(self.world.assignments[name])
        return int((held[0].get("lease") or {}).get("number", 0)) if held else 0

    def fresh(self, name: str) -> bool:
        return name in self.world.agents and self.world.now_ms - self.world.reports[name][2] <= FRESH_MS

    def planned(self, name: str, spec: specs.ModelRollout, before: rollout.Status, plan: rollout.Plan) -> None:
        after = plan.status
        if plan.stale:
            assert not plan.assignments and after == before
            return
        if after != before:
            assert rollout.from_json(name, json.loads(json.dumps(rollout.to_json(after)))) == after
        self.terminal_is_immutable(name, after)
        if after.terminal or after.attempt != before.attempt:
            self.success_is_proven(before, plan)
            self.rollback_is_proven(name, before, plan)
            return
        self.pause_holds(spec, before, plan)
        self.waves_are_frozen_and_in_order(name, before, plan)
        self.numbers_rise(plan)
        self.planning_twice_is_once(name, spec, plan)
        assert any(one.type == "Progressing" and one.reason for one in after.conditions), "L3: silent"

    def terminal_is_immutable(self, name: str, after: rollout.Status) -> None:
        if after.terminal:
            assert self.ended.setdefault((name, after.attempt), after) == after, "I14: a terminal state changed"

    def success_is_proven(self, before: rollout.Status, plan: rollout.Plan) -> None:
        after = plan.status
        if after.state != "Succeeded" or before.terminal:
            return
        waved = {node for wave in after.waves for node in wave.nodes}
        promoted = any(wave.verdict.get("code") == "Promoted" for wave in after.waves)
        digest = self.world.versions[plan.stable].digest
        existing = waved & self.world.agents.keys()
        running = {name for name in existing if self.reported(name) == digest}
        assert waved, "I11: an empty rollout succeeded"
        assert running or promoted, "I11: a rollout succeeded that nobody runs"
        told = set(after.deferred) | {one.node for one in after.failed}
        assert all(self.fresh(name) or name in told for name in existing), "I8: an offline node counted as success"

    def rollback_is_proven(self, name: str, before: rollout.Status, plan: rollout.Plan) -> None:
        if plan.status.state != "RolledBack" or before.terminal:
            return
        target = self.world.versions[self.world.rollouts[name].spec["version"]]
        for agent in self.world.agents.values():
            if self.fresh(agent.name) and plan.status.stable_version != target.name:
                assert agent.active != target, f"rolled back, but {agent.name} runs {target.name}"

    def pause_holds(self, spec: specs.ModelRollout, before: rollout.Status, plan: rollout.Plan) -> None:
        cleared = spec.resumed_attempt == before.attempt and spec.resumed_pause >= before.pause_number
        automatic = [reason for reason in before.pause_reasons if reason != OPERATOR]
        if plan.status.state != "Progressing" or not (spec.paused or (automatic and not cleared)):
            return
        assert plan.status.wave == before.wave, "I4: promoted while paused"
        assert plan.status.pause_reasons, "I4: a pause was forgotten"
        for node, assignment in plan.assignments.items():
            number = assignment.permit.number if assignment and assignment.permit else 0
            granted = [one.number for one in before.permits if one.node == node]
            assert number <= max([self.published(node), *granted]), "I4: a permit while paused"

    def waves_are_frozen_and_in_order(self, name: str, before: rollout.Status, plan: rollout.Plan) -> None:
        after = plan.status
        if after.state != "Progressing":
            return
        members = [wave.nodes for wave in after.waves]
        assert self.frozen.setdefault((name, after.attempt), members) == members, "I16: membership changed"
        assert all(wave.passed for wave in after.waves[: after.wave]), "I6: a wave was left that did not pass"
        target = self.world.versions[self.world.rollouts[name].spec["version"]].digest
        allowed = {node for wave in after.waves[: after.wave + 1] for node in wave.nodes}
        for node, assignment in plan.assignments.items():
            # A rollout of the stable version itself finds nodes that hold it by an attempt of before.
            mine = assignment and (assignment.rollout, assignment.attempt) == (name, after.attempt)
            if assignment and mine and assignment.permit and assignment.digest == target:
                assert node in allowed, "I6: a permit before its wave"
        for index in range(before.wave if before.state == "Progressing" else 0, after.wave):
            self.promotion_is_earned(name, after, index)

    def promotion_is_earned(self, name: str, after: rollout.Status, index: int) -> None:
        wave, spec = after.waves[index], self.world.rollouts[name].spec
        if wave.verdict["code"] == "Promoted":
            assert spec["promotedAttempt"] == after.attempt and spec["promotedWave"] >= index, "promoted by nobody"
            return
        target = self.world.versions[spec["version"]].digest
        assert any(self.fresh(name) and self.reported(name) == target for name in wave.nodes), "I7: nobody runs it"
        assert not {one.node for one in after.failed} & set(wave.nodes), "I7: passed with failures"
        stable = self.world.versions.get(after.stable_version)
        rest = [n for later in after.waves[index + 1 :] for n in later.nodes if n in self.world.agents]
        if stable is not None and stable.digest != target and rest:
            assert self.world.metrics == "good", f"I7: passed on {self.world.metrics} evidence"

    def numbers_rise(self, plan: rollout.Plan) -> None:
        for node, assignment in plan.assignments.items():
            if assignment is not None and assignment.lease is not None:
                assert assignment.lease.number >= self.published(node), "permit numbers went back"

    def planning_twice_is_once(self, name: str, spec: specs.ModelRollout, plan: rollout.Plan) -> None:
        nodes = []
        for node in self.world.nodes():
            if node.name in plan.assignments:
                made = plan.assignments[node.name]
                node = replace(node, assignments=() if made is None else (made,))
            nodes.append(node)
        case = rollout.Case(spec, self.world.versions, self.world.stable, FLEET)
        again = planner.plan(
            case,
            plan.status,
            nodes,
            self.world.evidence,
            now_ms=self.world.wall_ms,
            epoch=plan.status.epoch,
            elapsed=self.world.elapsed,
        )
        assert again.status == plan.status, "I12: planning twice is not planning once"
        assert again.assignments == plan.assignments, "I12: assignments changed without a reason"
