"""The order of an example: truths when their time has come, one run, and a final whose truths are told last."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import loop
from examples.client import Answer
from examples.spans import Asked, Spans
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo.event_log import KINDS, Snapshot
from skerry.core import errors

STEP_MS, HORIZON = 900_000, 4


def thing(kind: str, name: str, spec: dict[str, Any], at: int, **status: Any) -> Object:
    return Object(kind, name, "uid", spec, status, {}, 1, 1, at)


def ended(status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": "Succeeded", "status": status, "reason": "R", "message": "why"}]}


class World:
    """Two nodes and a cloud: the policy fires after `fires_after` truths, and its run ends as `run_ends`. `seen` has
    all that was asked and told, in order."""

    def __init__(
        self, fires_after: int = 30, run_ends: str = "True", rollout_ends: bool = True, phase: str = "Succeeded"
    ) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.commands: list[tuple[str, ...]] = []
        self.told: Counter[tuple[str, str]] = Counter()
        self.nodes = {"edge-1": "", "edge-2": ""}
        self._fires_after, self._run_ends, self._rollout_ends = fires_after, run_ends, rollout_ends
        self._phase = phase
        self._runs = self._version = 0

    # the agents
    def ask(self, index: int, request_id: str, window: Any, unix_ms: int) -> Answer:
        self.seen.append(("ask", request_id, unix_ms))
        node = f"edge-{index % 2 + 1}"
        return Answer(index, request_id, node, f"v{self._version}", 0.5, (1.0,), (0.0,), (2.0,), "token")

    def tell(self, answer: Answer, truth: Any) -> None:
        self.seen.append(("tell", answer.request_id, truth[0]))
        self.told[answer.node, "RECORDED"] += 1
        if self.told.total() == self._fires_after:
            self._runs = 2
            self._version = 2 if self._run_ends == "True" else 1

    def settle(self) -> None: ...

    # the system
    def skerry(self, *arguments: str) -> str:
        self.commands.append(arguments)
        if arguments[:2] == ("models", "apply"):
            self.seen.append(("apply", Path(arguments[2]).read_text() if "change" in arguments[2] else "", 0.0))
        if arguments[0] == "retrain":
            self._runs += 1
            self._version = self._runs
        if arguments[:2] == ("rollout", "rollback"):
            self._version = 1
        if arguments[:2] == ("rollout", "promote"):
            self._rollout_ends = True
        return ""

    def skerry_json(self, *arguments: str) -> Any:
        return [{"name": f"run-{number + 1}"} for number in range(self._runs)]

    def look(self) -> Snapshot:
        rollouts = self._runs if self._run_ends == "True" else 1
        moving = rollouts == 2 and not self._rollout_ends
        last = {"phase": "Progressing", "waves": [{"name": "canary"}]} if moving else ended() | {"phase": self._phase}
        things = [
            *(thing("TrainingRun", f"run-{n + 1}", {"reason": "E"}, n, **self._ended(n)) for n in range(self._runs)),
            *(thing("ModelRollout", f"out-{n + 1}", {}, n, **(last if n else ended())) for n in range(rollouts)),
            *(
                thing("EdgeNode", node, {}, 0, models=[{"model": "m", "digest": "d", "version": self._version}])
                for node in self.nodes
            ),
        ]
        return Snapshot({kind: {one.name: one for one in things if one.kind == kind} for kind in KINDS})

    def _ended(self, number: int) -> dict[str, Any]:
        return ended(self._run_ends if number else "True")

    def until(self, what: str, reached: Any, timeout_s: float) -> Snapshot:
        if not reached(self.look()):
            raise errors.UnavailableError(what)
        return self.look()

    def metrics(self, node: str) -> dict[str, float]:
        return {}

    def cpu_s(self) -> float:
        return 1.0


def span(first: int, rows: int) -> Asked:
    time = np.arange(first, first + rows, dtype=np.int64)
    y = time[:, None].astype(np.float32)
    return Asked(np.zeros((rows, 2, 1), np.float32), y, y[:, None], time * STEP_MS, HORIZON * STEP_MS)


def play(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> loop.Played:
    spans = Spans(tmp_path / "base.csv", tmp_path / "between.csv", span(1000, 300), span(2000, 40), 40, {})
    turn = loop.Loop(world, world, "m", tmp_path / "model.yaml", ["--lag", "1"], lambda text: None)
    turn.play(spans, 7)
    turn.end(spans.final)
    turn.count()
    return turn.played


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[World, loop.Played]:
    world = World()
    return world, play(world, tmp_path, monkeypatch)


def test_a_truth_is_told_when_the_replay_has_come_to_its_time_and_not_before(closed: tuple[World, loop.Played]) -> None:
    asked_at, told = dict[str, float](), 0
    for what, request, number in closed[0].seen:
        if what == "ask" and request.startswith("replay"):
            assert told == sum(at + HORIZON * STEP_MS <= number for at in asked_at.values())
            asked_at[request] = number
        told += what == "tell"


def test_no_truth_of_the_final_is_told_before_all_its_answers_are_in(closed: tuple[World, loop.Played]) -> None:
    world, played = closed
    final = [(what, request) for what, request, _ in world.seen if request.startswith(("final", "before"))]
    assert [what for what, _ in final] == ["ask"] * 80 + ["tell"] * 40
    assert {request.split("-")[0] for what, request in final if what == "tell"} == {"final"}
    assert {answer.digest for answer in played.final} == {"v2"} and {one.digest for one in played.before} == {"v1"}


def test_one_turn_of_the_loop_is_one_run_of_the_policy(closed: tuple[World, loop.Played]) -> None:
    world, played = closed
    assert (played.run, played.rollout, played.rollout_phase, played.notes) == ("run-2", "out-2", "Succeeded", [])
    assert [command[0] for command in world.commands].count("retrain") == 1, "the first version alone is by hand"
    assert len(played.replay) == 300


def test_a_run_that_made_no_version_leaves_the_first_one_to_the_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(World(run_ends="False"), tmp_path, monkeypatch)
    assert {answer.digest for answer in played.final} == {"v1"} and not played.before
    assert played.notes == ["run-2 made no version: R: why"]


def test_what_was_done_by_hand_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(fires_after=10_000, rollout_ends=False)
    played = play(world, tmp_path, monkeypatch)
    assert played.notes[0] == "the policy did not fire; the run was asked for by hand"
    assert (
        "promoted by hand" in played.notes[1] and ("rollout", "promote", "out-2", "--wave", "canary") in world.commands
    )


def test_nothing_trains_on_the_final_and_every_truth_of_the_replay_is_told_before_it(
    closed: tuple[World, loop.Played],
) -> None:
    seen = closed[0].seen
    first = next(at for at, (_, request, _) in enumerate(seen) if request.startswith("final"))
    told = [request for what, request, _ in seen[:first] if what == "tell"]
    assert len(told) == 300 and all(request.startswith("replay") for request in told)
    changes = [json.loads(text)["spec"] for what, text, _ in seen[:first] if what == "apply" and text]
    assert changes == [{"retrain": {"seed": 7}}, {"retrain": {"enabled": False}}]


def test_a_version_that_was_taken_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(phase="RolledBack")
    played = play(world, tmp_path, monkeypatch)
    assert played.notes == ["out-2 ended RolledBack: the first version answered the final"] and not played.before
