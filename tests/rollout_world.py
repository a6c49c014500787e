"""A world for rollouts: agents with durable ledgers, a lossy link, and a controller that writes what `plan` says.

Nothing here decides about a rollout. Agents follow the rules of docs/explanation/architecture.md in the worst way they
allow: while one swaps it serves nothing. Everything that the controller remembers goes through JSON, as it does in
production.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rollout_agent import MODEL, Agent, Message, version

from skerry.controller import stopwatch
from skerry.core import arms, evidence, rollout, specs, truth_delay
from skerry.core.rollout import permits, planner, settling

T0_MS = 1_790_000_000_000
FLEET = specs.EdgeFleet("all", offline_after_s=15)


@dataclass
class Stored:
    """A ModelRollout as the object store keeps it."""

    spec: dict[str, Any]
    created_ms: int
    status: str = "{}"
    resource_version: int = 0


class World:
    """`watch` is called after every plan with (name, spec, before, plan); `on_activate` when a node has swapped."""

    def __init__(self, nodes: int = 3, stable: bool = True) -> None:
        self.wall_step_ms = 0  # how wrong the controller's wall clock is
        self.stopwatches: dict[int, stopwatch.RolloutStopwatch] = {}  # of each epoch's leader
        self.now_ms, self.epoch, self.revision, self.requests = T0_MS, 1, 0, 100
        self.versions = {one.name: one for one in map(version, range(1, 4))}
        self.stable = "m-v1" if stable else ""
        self.catch_up = "{}"
        self.rollouts: dict[str, Stored] = {}
        self.agents: dict[str, Agent] = {}
        self.created_ms: dict[str, int] = {}
        self.assignments: dict[str, str] = {}  # EdgeNode.spec.assignments as JSON
        self.reports: dict[str, tuple[str, bool, int]] = {}  # EdgeNode.status: report, connected, lastSeen
        self.corrupt: set[str] = set()
        self.demanding: set[str] = set()
        self.unreachable_files: set[str] = set()
        self.swap_fails: set[tuple[str, str]] = set()
        self.metrics = "good"
        self.delay = truth_delay.AT_ONCE  # of the model's answers
        self.claims: dict[str, tuple[float, float]] = {}  # (n, bad) that is counted for a hostile node
        self.evidence: evidence.Evidence | None = None  # that the last plan was given
        self.elapsed = rollout.Elapsed()  # and what had been counted for it
        self.activations: list[tuple[str, specs.Assignment]] = []
        self.watch: Callable[[str, specs.ModelRollout, rollout.Status, rollout.Plan], None] = lambda *_: None
        for _ in range(nodes):
            self.add_node()

    # ---- what exists

    def add_node(self) -> Agent:
        """A node that serves the stable version already, if there is one."""
        name = f"e{len(self.assignments) + 1}"
        agent = Agent(name, self.versions.get(self.stable))
        self.agents[name] = agent
        self.created_ms[name] = self.now_ms
        self.assignments[name], self.reports[name] = "[]", ("{}", True, 0)
        return agent

    def delete_node(self, name: str) -> None:
        del self.agents[name]
        self.reports.pop(name)

    def roll_out(self, name: str, number: int, **spec: Any) -> None:
        self.rollouts[name] = Stored({"model": MODEL, "version": f"m-v{number}", "fleet": "all", **spec}, self.now_ms)

    def edit(self, name: str, **spec: Any) -> None:
        self.rollouts[name].spec.update(spec)

    def status(self, name: str) -> rollout.Status:
        return _status(name, self.rollouts[name].status)

    def by_digest(self, digest: str) -> specs.ModelVersion:
        return next(one for one in self.versions.values() if one.digest == digest)

    def activated(self, agent: Agent, done: specs.Assignment) -> None:
        self.activations.append((agent.name, done))

    def nodes(self) -> list[specs.EdgeNode]:
        found = []
        for name in self.agents:
            report, connected, seen_ms = self.reports[name]
            node = _node(name, self.assignments[name], report)
            made_ms = self.created_ms[name]
            found.append(replace(node, connected=connected, last_seen_ms=seen_ms, created_ms=made_ms))
        return found

    # ---- time and the link

    def run(self, ms: int, step_ms: int = 1000) -> None:
        """Time passes; agents work, report and hear; the controller ticks."""
        for _ in range(max(1, ms // step_ms)):
            self.now_ms += step_ms
            self.exchange()
            self.reconcile()
            self.exchange()

    def pass_time(self, ms: int) -> None:
        """Time passes and nobody speaks with anybody."""
        self.now_ms += ms
        for agent in self.agents.values():
            if agent.alive:
                agent.work(self.now_ms, self)

    def exchange(self, *, report: bool = True) -> None:
        for agent in self.agents.values():
            if not agent.alive:
                continue
            if agent.connected:
                for message in agent.inbox:
                    agent.take(message)
                agent.inbox.clear()
            agent.work(self.now_ms, self)
            if agent.connected and report:
                self.reports[agent.name] = (json.dumps(agent.report(self)), True, self.now_ms)

    # ---- the controller

    def reconcile(self, *, epoch: int | None = None, stop_after: int = 99) -> None:
        """One tick. A controller that dies after `stop_after` writes leaves the rest undone, and the next one has
        counted nothing."""
        epoch = self.epoch if epoch is None else epoch
        watch = self._tick_of(epoch)
        if stop_after < 99:
            self.stopwatches.clear()
        parsed = {name: _rollout(name, json.dumps(one.spec)) for name, one in self.rollouts.items()}
        known = [(one.created_ms, parsed[name], self.status(name)) for name, one in self.rollouts.items()]
        newer = planner.superseded_by(known)
        busy: set[str] = set()
        writes = 0
        for name, spec in parsed.items():
            before = self.status(name)
            case = rollout.Case(spec, self.versions, self.stable, FLEET, newer.get(name, ""), self.delay)
            plan = self._plan(case, before, epoch, watch.of(name, before))
            self.watch(name, spec, before, plan)
            if plan.stale:
                continue
            if plan.stable:
                self.stable = plan.stable
            if plan.status != before:
                self.rollouts[name].status = json.dumps(rollout.to_json(plan.status))
            busy |= plan.assignments.keys()
            for node, assignment in plan.assignments.items():
                if writes >= stop_after:
                    return
                writes += self.assign(node, assignment, epoch)
        self.settle(frozenset(busy), epoch, watch.of_settling())

    @property
    def wall_ms(self) -> int:
        """What the controller's wall clock says."""
        return self.now_ms + self.wall_step_ms

    def _tick_of(self, epoch: int) -> stopwatch.RolloutStopwatch:
        """The stopwatch of that leader, a round further."""
        watch = self.stopwatches.setdefault(epoch, stopwatch.RolloutStopwatch())
        held = [self.status(name).permits for name in self.rollouts]
        held.append(settling.settled_from_json(MODEL, json.loads(self.catch_up)).permits)
        permits = [permit for some in held for permit in some]
        watch.tick(self.nodes(), permits, now_ms=self.wall_ms, mono_ms=self.now_ms)
        return watch

    def _plan(self, case: rollout.Case, before: rollout.Status, epoch: int, elapsed: rollout.Elapsed) -> rollout.Plan:
        nodes = self.nodes()
        asked = planner.question(case, before, nodes, now_ms=self.wall_ms, epoch=epoch, elapsed=elapsed)
        self.evidence, self.elapsed = None if asked is None else self.count(asked), elapsed
        return planner.plan(case, before, nodes, self.evidence, now_ms=self.wall_ms, epoch=epoch, elapsed=elapsed)

    def settle(self, busy: frozenset[str], epoch: int, elapsed: rollout.Elapsed) -> None:
        before = settling.settled_from_json(MODEL, json.loads(self.catch_up))
        done = settling.settle(
            MODEL,
            self.versions.get(self.stable),
            FLEET,
            before,
            self.nodes(),
            busy,
            now_ms=self.wall_ms,
            epoch=epoch,
            elapsed=elapsed,
        )
        if not done.stale:
            self.catch_up = json.dumps(settling.settled_to_json(done.settled))
            for node, assignment in done.assignments.items():
                self.assign(node, assignment, epoch)

    def assign(self, node: str, assignment: specs.Assignment | None, epoch: int) -> bool:
        held = _node(node, self.assignments[node], "{}").assignment(MODEL)
        if held == assignment:
            return False
        made = json.dumps([] if assignment is None else [specs.assignment_json(assignment)])
        self.assignments[node] = made
        self.revision += 1
        self.agents[node].inbox.append(Message(self.revision, epoch, assignment))
        return True

    def reconnect(self, name: str) -> None:
        """A new stream begins with the whole desired state."""
        agent, held = self.agents[name], json.loads(self.assignments[name])
        agent.connected, agent.revision = True, 0
        parsed = specs.parse_node(name, {"assignments": held}, {}).assignment(MODEL)
        agent.inbox = [Message(self.revision, self.epoch, parsed)]

    def count(self, asked: rollout.Question) -> evidence.Evidence | None:
        """What the counters say, by the mood of the world."""
        if self.metrics == "missing":
            return None
        if self.metrics == "error":
            return evidence.Evidence(read_ms=self.wall_ms, error="no counters")
        bad = {"bad": 0.6, "few": 0.0}.get(self.metrics, 0.1)
        read_ms = self.wall_ms - (100_000 if self.metrics == "stale" else 0)
        canary = self._counts(asked.canary_nodes, bad, read_ms)
        baseline = self._counts(asked.baseline_nodes, 0.3, read_ms)
        if self.metrics not in ("refusing", "rubbish"):
            return evidence.Evidence(canary, baseline, read_ms)
        # Callers send 40 requests a node: a fifth of them rubbish to any version, or all refused by the new one.
        refused = 40 if self.metrics == "refusing" else 8
        return evidence.Evidence(
            canary,
            baseline,
            read_ms,
            canary_requests=tuple(arms.Count(node, 40, refused, read_ms) for node in asked.canary_nodes),
            baseline_requests=tuple(arms.Count(node, 40, 8, read_ms) for node in asked.before_nodes),
        )

    def _counts(self, nodes: tuple[str, ...], bad: float, read_ms: int) -> tuple[arms.Count, ...]:
        honest = [(node, (n, n * bad)) for node, n in self._answers(nodes)]
        return tuple(arms.Count(node, *self.claims.get(node, counted), read_ms) for node, counted in honest)

    def _answers(self, nodes: tuple[str, ...]) -> list[tuple[str, float]]:
        """How many each node of an arm gave: `few` means too few in the whole arm."""
        n: float = {"few": 150 // max(1, len(nodes)), "nan": float("nan")}.get(self.metrics, 400)
        return [(node, n) for node in nodes]


@functools.lru_cache(maxsize=4096)
def _status(name: str, text: str) -> rollout.Status:
    return rollout.from_json(name, json.loads(text))


@functools.lru_cache(maxsize=4096)
def _rollout(name: str, text: str) -> specs.ModelRollout:
    return specs.parse_rollout(name, json.loads(text))


@functools.lru_cache(maxsize=4096)
def _node(name: str, assignments: str, report: str) -> specs.EdgeNode:
    models = [json.loads(report)] if report != "{}" else []
    return specs.parse_node(name, {"assignments": json.loads(assignments)}, {"models": models})


WAVES = [
    {"name": "canary", "size": "1", "soakSeconds": 5},
    {"name": "some", "size": "50%", "soakSeconds": 3},
    {"name": "rest", "size": "100%", "soakSeconds": 2},
]
QUICK = {
    "waves": WAVES,
    "judgeTimeoutSeconds": 60,
    "progressDeadlineSeconds": 200,
    "analysis": {"minSamples": 200, "marginPermille": 50},
}
LEASE_MS = permits.TTL_MS + permits.MAX_SWAP_MS
