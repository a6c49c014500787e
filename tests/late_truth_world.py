"""A world of forecasts: every node answers once an hour, and time tells the truth of an answer a day later.

The truth goes the curator's way into the counters, and the controller's way out of them; counters end by the world's
clock.
"""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
from rollout_agent import MODEL
from rollout_world import World

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.controller import observe
from skerry.core import comparisons, datasets, evidence, rollout, truth_delay
from skerry.core.tasks import Forecast
from skerry.curator import examples
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.label_task import LabelTask

HOUR_MS = 3_600_000
TASK = Forecast("traffic", "vehicles/h", (100, 500, 900), 3600, horizon=24)
LABELS = LabelTask(MODEL, TASK, datasets.Input("x", "FP32", (1, 1)))
READ_EVERY_MS = 30_000


@dataclass(frozen=True)
class Answered:
    node: str
    digest: str
    at_ms: int
    bad: bool


class LateTruthWorld(World):
    """`bad_every`: of the answers of a version, by its name, each so-manieth is bad."""

    def __init__(self, nodes: int, bad_every: dict[str, int]) -> None:
        super().__init__(nodes)
        self.delay, self.bad_every = truth_delay.of(TASK), bad_every
        self.fleetstate = MemoryFleetState(lambda: self.now_ms / 1000)
        self.counts = EvidenceCounts(self.fleetstate, "curator")
        self.waiting: list[Answered] = []  # for their truth
        self.answers: Counter[str] = Counter()  # by node
        self.next_answer_ms = self.now_ms
        self.are_silent = False
        self.read: tuple[rollout.Question, evidence.Evidence] | None = None

    def live(self, hours: int) -> None:
        """Time passes, an hour at a time: the controller has nothing to do in between."""
        self.run(hours * HOUR_MS, HOUR_MS)

    def exchange(self, *, report: bool = True) -> None:
        super().exchange(report=report)
        if self.now_ms >= self.next_answer_ms:
            self.next_answer_ms += HOUR_MS
            self._answer()
        self._tell_truths()

    def _answer(self) -> None:
        for agent in self.agents.values():
            if agent.active is not None and not self.are_silent:
                self.answers[agent.name] += 1
                is_bad = self.answers[agent.name] % self.bad_every[agent.active.name] == 0
                self.waiting.append(Answered(agent.name, agent.active.digest, self.now_ms, is_bad))

    def _tell_truths(self) -> None:
        stored = [(one.spec, json.loads(one.status)) for one in self.rollouts.values()]
        self.counts.follow(comparisons.by_model(stored))
        due = [one for one in self.waiting if one.at_ms + TASK.horizon_ms <= self.now_ms]
        self.waiting = self.waiting[len(due) :]
        for one in due:
            self.counts.count(LABELS, _captured(one), one.bad, now_ms=self.now_ms)
        self.counts.flush()

    def count(self, asked: rollout.Question) -> evidence.Evidence:
        """Not read again at once, as the controller does not."""
        if self.read is None or self.read[0] != asked or self.wall_ms - self.read[1].read_ms >= READ_EVERY_MS:
            self.read = asked, self._read(asked)
        return self.read[1]

    def _read(self, asked: rollout.Question) -> evidence.Evidence:
        canary = observe.Arm(asked.canary_digest, asked.canary_nodes, asked.since_ms)
        baseline = observe.Arm(asked.baseline_digest, asked.baseline_nodes, asked.baseline_since_ms)
        nobody = observe.Arm(asked.baseline_digest, (), asked.before_since_ms)
        return observe.count(self.fleetstate, MODEL, canary, baseline, nobody, now_ms=self.wall_ms, delay=self.delay)


def _captured(one: Answered) -> examples.Captured:
    row = np.zeros((1, 1), dtype=np.float32)
    return examples.Captured("sha256:" + "0" * 64, row, "", True, one.node, one.digest, None, one.at_ms)
