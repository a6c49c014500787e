"""One turn of the loop on the local system: a first version from the base, the replay, the run that the policy starts,
the rollout that its version gets, and the final that nobody trained on.

While a run trains the replay stands still, for a minute of training is nothing beside a step of the series.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.client import Agents, Answer
from examples.series_clock import SeriesClock
from examples.spans import Asked, Spans
from examples.stack import Stack, Tell, has_ended, moving
from examples.worse import Worse
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.demo.session import write_json
from skerry.core import errors

RUN_S, ROLLOUT_S, POLICY_S, VERDICT_S = 900.0, 180.0, 60.0, 90.0
_LOOK_EVERY = 25  # answers


@dataclass(slots=True)
class Played:
    """What came of it. `run` is the one that the policy started and `rollout` that of its
    version (empty: none); `before` are the final's answers by the first version, asked again after a rollback."""

    run: str = ""
    run_why: str = ""
    rollout: str = ""
    rollout_phase: str = ""
    replay: list[Answer] = field(default_factory=list)
    final: list[Answer] = field(default_factory=list)
    before: list[Answer] = field(default_factory=list)
    worse: Worse | None = None
    notes: list[str] = field(default_factory=list)
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    runs: Sequence[str] = ()
    cpu_s: float = 0.0


class Loop:
    """`options` are those of the import; `model` names the EdgeModel in `model_file`."""

    def __init__(
        self, stack: Stack, agents: Agents, model: str, model_file: Path, options: Sequence[str], tell: Tell
    ) -> None:
        self._stack, self._agents, self._tell = stack, agents, tell
        self._model, self._file, self._options = model, model_file, options
        self.clock, self.played = SeriesClock(agents), Played()

    def play(self, spans: Spans, seed: int) -> Played:
        """Raises UnavailableError when a step that everything else needs does not come."""
        self._first_version(spans.base, seed)
        rest = self._until_the_policy_fires(spans.replay)
        if self._second_version(spans.base.parent):
            self._roll_out(spans.replay, rest)
        self.clock.run_out()
        self._final(spans.final)
        return self.played

    # ---- the steps

    def _first_version(self, base: Path, seed: int) -> None:
        stage = base.parent
        self._stack.skerry("models", "apply", str(self._file))
        self._apply(stage, {"retrain": {"seed": seed}})
        self._tell(self._stack.skerry("datasets", "import", str(base), "--model", self._model, *self._options).strip())
        self._stack.skerry("retrain", self._model, "--reason", "the first version", "--wait")
        self._stack.until("every node serves the first version", lambda seen: self._serve(seen, 1), ROLLOUT_S)
        self._stack.until("its rollout has ended", lambda seen: not moving(seen), ROLLOUT_S)

    def _until_the_policy_fires(self, replay: Asked) -> int:
        """The index of the first row that is still to be asked."""
        for index in range(len(replay)):
            self.played.replay.append(self.clock.ask(replay, index, "replay"))
            if index % _LOOK_EVERY == 0 and len(self._stack.look().of("TrainingRun")) > 1:
                return index + 1
            if index + 1 == len(replay) // 2:
                break  # the rest is for the canary
        self._agents.settle()
        self._tell(f"the replay waits after {index + 1} answers")
        try:
            self._stack.until("the policy fires", lambda seen: len(seen.of("TrainingRun")) > 1, POLICY_S)
        except errors.UnavailableError:
            self._note("the policy did not fire; the second run was asked for by hand")
            self._stack.skerry("retrain", self._model, "--reason", "by hand: the policy did not fire")
        return index + 1

    def _second_version(self, stage: Path) -> bool:
        """Wait for the run, and let no further one begin; whether it made a version."""
        seen = self._stack.until("the second run has ended", lambda seen: all(map(has_ended, _runs(seen))), RUN_S)
        self._apply(stage, {"retrain": {"enabled": False}})
        run = _runs(seen)[1]
        done = event_log.condition(run, "Succeeded")
        self.played.run, self.played.run_why = run.name, str(run.spec.get("reason", ""))
        if done.get("status") != "True":
            self._note(f"{run.name} made no version: {done.get('reason')}: {done.get('message')}")
        return done.get("status") == "True"

    def _roll_out(self, replay: Asked, index: int) -> None:
        """The replay goes on while the canary is judged."""
        self._stack.until("the second rollout begins", lambda seen: len(seen.of("ModelRollout")) > 1, ROLLOUT_S)
        while index < len(replay):
            self.played.replay.append(self.clock.ask(replay, index, "replay"))
            index += 1
            if index % _LOOK_EVERY == 0 and not moving(self._stack.look()):
                break
        if index == len(replay):
            self.clock.run_out()
        try:
            self._stack.until("the second rollout has ended", lambda seen: not moving(seen), VERDICT_S)
        except errors.UnavailableError:
            self._promote()
        rollout = event_log.newest(self._stack.look().of("ModelRollout"))[-1]
        self.played.rollout, self.played.rollout_phase = rollout.name, str(rollout.status.get("phase", ""))
        if self.played.rollout_phase != "Succeeded":
            self._note(f"{rollout.name} ended {self.played.rollout_phase}: the first version answered the final")
        while index < len(replay):  # what the canary did not need is replayed all the same: nodes know its truths
            self.played.replay.append(self.clock.ask(replay, index, "replay"))
            index += 1

    def _promote(self) -> None:
        rollout = event_log.newest(self._stack.look().of("ModelRollout"))[-1]
        self._note(f"{rollout.name} got no verdict ({rollout.status.get('pauseMessage', '')}); promoted by hand")
        for _ in rollout.status.get("waves", []):
            self._stack.skerry("rollout", "promote", rollout.name)
            time.sleep(3)
            if not moving(self._stack.look()):
                break
        self._stack.until("the promoted rollout has ended", lambda seen: not moving(seen), ROLLOUT_S)

    def _final(self, final: Asked) -> None:
        """Every answer is in before any of its truths is told."""
        self.played.final = self._ask_all(final, "final")
        if self.played.rollout_phase == "Succeeded":
            self._stack.skerry("rollout", "rollback", self._model)
            self._stack.until("the first version serves again", lambda seen: self._serve(seen, 1), ROLLOUT_S)
            self.played.before = self._ask_all(final, "before")
        for answer in self.played.final:
            self._agents.tell(answer, final.y[answer.index].tolist())
        self._agents.settle()

    def count(self) -> None:
        """What the agents and the system counted themselves until now."""
        self.played.told = dict(self._agents.told)
        self.played.metrics = {node: self._stack.metrics(node) for node in self._stack.nodes}
        self.played.runs = [run["name"] for run in self._stack.skerry_json("runs")]
        self.played.cpu_s = self._stack.cpu_s()

    def _ask_all(self, rows: Asked, name: str) -> list[Answer]:
        return [self._agents.ask(i, f"{name}-{i}", rows.x[i], int(rows.time[i])) for i in range(len(rows))]

    # ---- objects

    def _serve(self, seen: Snapshot, version: int) -> bool:
        on = event_log.nodes_on(seen, self._model)
        return len(on) == len(self._stack.nodes) and all(number == version for _, number in on.values())

    def _apply(self, folder: Path, spec: Mapping[str, object]) -> None:
        change = write_json(folder / "change.json", {"name": self._model, "spec": spec})
        self._stack.skerry("models", "apply", str(change))

    def _note(self, text: str) -> None:
        self.played.notes.append(text)
        self._tell(text)


def _runs(seen: Snapshot) -> Sequence[Object]:
    return event_log.newest(seen.of("TrainingRun"))
