"""One turn of the loop on the local system: a first version from the base, the replay, the run that the policy starts,
the rollout that its version gets, and the final that nobody trained on.

While a run trains the replay stands still, for a minute of training is nothing beside a step of the series.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples import turn
from examples.change import Changed
from examples.client import Agents, Answer
from examples.series_clock import SeriesClock
from examples.spans import Asked, Spans
from examples.stack import Stack, Tell, moving
from examples.worse import Worse
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot


@dataclass(slots=True)
class Played:
    """What came of it. `run` is the one that the policy started and `rollout` that of its
    version (empty: none); `before` are the final's answers by the first version, asked again after a rollback;
    `float_mae`: of the network before it became int8, on the final's rows; None: it could not be had;
    `asked_before_run` counts the answers that the run can know the truth of."""

    run: str = ""
    run_why: str = ""
    rollout: str = ""
    rollout_phase: str = ""
    asked_before_run: int = 0
    replay: list[Answer] = field(default_factory=list)
    final: list[Answer] = field(default_factory=list)
    before: list[Answer] = field(default_factory=list)
    worse: Worse | None = None
    changed: Changed | None = None
    notes: list[str] = field(default_factory=list)
    float_mae: float | None = None
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
        """Until the final is answered; none of its truths is told yet. Raises UnavailableError when a step that
        everything else needs does not come."""
        self._first_version(spans.base, seed)
        rest = self._until_the_policy_fires(spans.replay)
        if self._second_version(spans.base.parent):
            self._roll_out(spans.replay, rest)
        self.clock.run_out()
        self.played.final = self._ask_all(spans.final, "final")
        return self.played

    def end(self, final: Asked) -> None:
        """The first version is asked for the final too, then the truths of the final are told."""
        if self.played.rollout_phase == "Succeeded":
            self._stack.skerry("rollout", "rollback", self._model, "--to", f"{self._model}-v1")
            self._stack.until("the first version serves again", lambda seen: self._serve(seen, 1), turn.ROLLOUT_S)
            self.played.before = self._ask_all(final, "before")
        for answer in self.played.final:
            self._agents.tell(answer, final.y[answer.index].tolist())
        self._agents.settle()

    # ---- the steps

    def _first_version(self, base: Path, seed: int) -> None:
        stage = base.parent
        self._stack.skerry("models", "apply", str(self._file))
        turn.change(self._stack, stage, self._model, {"retrain": {"seed": seed}})
        self._tell(self._stack.skerry("datasets", "import", str(base), "--model", self._model, *self._options).strip())
        self._stack.skerry("retrain", self._model, "--reason", "the first version", "--wait")
        self._stack.until("every node serves the first version", lambda seen: self._serve(seen, 1), turn.ROLLOUT_S)
        self._stack.until("its rollout has ended", lambda seen: not moving(seen), turn.ROLLOUT_S)

    def _until_the_policy_fires(self, replay: Asked) -> int:
        """The index of the first row that is still to be asked."""
        for index in range(len(replay)):
            self.played.replay.append(self.clock.ask(replay, index, "replay"))
            if index % turn.LOOK_EVERY == 0 and len(turn.runs(self._stack.look())) > 1:
                break
            if index + 1 == len(replay) // 2:  # the rest is for the canary
                self._tell(f"the replay waits after {index + 1} answers")
                turn.wait_for_policy(self._stack, self._agents, self._model, 1, self._note)
                break
        self.played.asked_before_run = index + 1
        return index + 1

    def _second_version(self, stage: Path) -> bool:
        """Whether the second run made one."""
        run, made = turn.finish_run(self._stack, stage, self._model, 1, self._note)
        self.played.run, self.played.run_why = run.name, str(run.spec.get("reason", ""))
        return made

    def _roll_out(self, replay: Asked, index: int) -> None:
        """The replay goes on while the canary is judged."""
        rollout, answers = turn.roll_out(self._stack, self.clock, replay, index, "replay", 1, self._note)
        self.played.replay += answers
        self.played.rollout, self.played.rollout_phase = rollout.name, str(rollout.status.get("phase", ""))
        if self.played.rollout_phase != "Succeeded":
            self._note(f"{rollout.name} ended {self.played.rollout_phase}: the first version answered the final")
        for rest in range(index + len(answers), len(replay)):  # nodes know the truths also of what no canary needed
            self.played.replay.append(self.clock.ask(replay, rest, "replay"))

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

    def _note(self, text: str) -> None:
        self.played.notes.append(text)
        self._tell(text)
