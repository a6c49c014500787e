"""After a change that is stated: what one turn can learn lies before what it is judged on, and what it wins back is
told in the terms of the sensor before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import change, rows, traffic
from examples.change import Changed
from examples.client import Answer
from examples.loop import Played
from examples.results import Row
from examples.scenario import Scenario
from examples.spans import Asked, Spans
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo.event_log import KINDS, Snapshot
from skerry.cli.importing.series import Choices
from skerry.core import errors, specs
from skerry.core.tasks import Forecast

MODEL = specs.parse_edge_model(
    "m",
    {
        "task": "Forecast",
        **Forecast("load", "kWh", (100, 500, 900), 900).to_json(),
        "input": {"name": "window", "datatype": "FP32", "shape": [2, 1]},
    },
)
ROWS, FIRST, FACTOR = 400, 100, 0.5
EXAMPLE = replace(traffic.SCENARIO, choices=Choices(time_column="t"), change_factor=FACTOR)


class World:
    """A fleet whose answers are right for the sensor before the change, and after a turn for the one after it, as far
    as `learns` says. `seen`: all that was asked and told, in order."""

    def __init__(self, makes_version: bool = True, learns: float = 1.0) -> None:
        self.seen, self.commands = list[tuple[str, str]](), list[tuple[str, ...]]()
        self.series, self._runs, self._rollouts, self._is_new = "m", 2, 2, False
        self._makes_version, self._learns = makes_version, learns

    def ask(self, index: int, request_id: str, window: Any, unix_ms: int) -> Answer:
        self.seen.append(("ask", f"{self.series}/{request_id}"))
        now = float(window[0, 0])  # the truth, as the sensor reads it now
        value = now / FACTOR if not self._is_new else now / FACTOR * (1 - self._learns) + now * self._learns
        digest = "v3" if self._is_new else "v2"
        return Answer(index, request_id, "edge-1", digest, 0.5, (value,), (value,), (value,), "token")

    def tell(self, answer: Answer, truth: Any) -> None:
        self.seen.append(("tell", answer.request_id))

    def settle(self) -> None: ...

    def skerry(self, *arguments: str) -> str:
        self.commands.append(arguments)
        if arguments[:2] == ("models", "apply") and '"enabled": true' in Path(arguments[2]).read_text():
            self._runs = 3
            self.fired_by = Path(arguments[2]).read_text()
        return ""

    def look(self) -> Snapshot:
        if self._runs == 3 and self._makes_version:
            self._rollouts, self._is_new = 3, True
        ok = {"conditions": [{"type": "Succeeded", "status": "True"}], "phase": "Succeeded"}
        no = {"conditions": [{"type": "Succeeded", "status": "False", "reason": "Gates", "message": "worse"}]}
        runs = [self._thing("TrainingRun", n, ok if self._makes_version or n < 2 else no) for n in range(self._runs)]
        rollouts = [self._thing("ModelRollout", n, ok) for n in range(self._rollouts)]
        of = {"TrainingRun": runs, "ModelRollout": rollouts}
        return Snapshot({kind: {one.name: one for one in of.get(kind, ())} for kind in KINDS})

    def _thing(self, kind: str, number: int, status: dict[str, Any]) -> Object:
        return Object(kind, f"{kind}-{number + 1}", "uid", {}, status, {}, 1, 1, number)

    def until(self, what: str, reached: Callable[[Snapshot], bool], timeout_s: float) -> Snapshot:
        if not reached(self.look()):
            raise errors.UnavailableError(what)
        return self.look()


def final() -> Asked:
    y = np.linspace(100, 200, ROWS, dtype=np.float32)[:, None]
    x = np.repeat(y[:, None], 2, axis=1)
    return Asked(x, y, y[:, None], np.arange(ROWS, dtype=np.int64) * 900_000, 900_000)


def play(world: World, tmp_path: Path) -> tuple[Spans, Changed]:
    cut = Spans(tmp_path / "base.csv", tmp_path / "between.csv", final(), final(), ROWS, {})
    found = change.begin(EXAMPLE, cut, FIRST, lambda text: None)
    assert found is not None
    change.play(world, world, EXAMPLE, MODEL, cut, 40, found)
    return cut, found


def of(found: Changed, cut: Spans) -> dict[str, Row]:
    said = [
        Answer(i, "final", "edge-1", "v2", 0.5, tuple(y), tuple(y), tuple(y), "t") for i, y in enumerate(cut.final.y)
    ]
    played = Played(final=said, changed=found, run="run-2", rollout="out-2")
    return {row.metric: row for row in rows.of_played(EXAMPLE, 0, played, cut, MODEL, "0" * 64)}


def test_what_is_judged_lies_behind_what_the_turn_can_learn_from_and_is_told_to_nobody(tmp_path: Path) -> None:
    world = World()
    _, found = play(world, tmp_path)
    told = {int(request.split("-")[1]) for what, request in world.seen if what == "tell"}
    assert told and min(told) == FIRST and max(told) < found.judged.start
    assert [answer.index for answer in found.after] == [answer.index for answer in found.turned] == list(found.judged)
    assert {answer.digest for answer in found.after} == {"v2"} and {one.digest for one in found.turned} == {"v3"}
    assert all(request.startswith("m-changed/") for what, request in world.seen if what == "ask")
    assert world.series == "m"


def test_the_policy_is_let_go_on_when_every_truth_that_was_told_can_be_in_its_dataset(tmp_path: Path) -> None:
    world = World()
    play(world, tmp_path)
    learned = sum(what == "tell" for what, _ in world.seen)
    assert f'"minNewExamples": {40 + int((ROWS - FIRST) * 0.4)}' in world.fired_by and learned >= 120


@pytest.mark.parametrize(("learns", "won"), [(1.0, 1.0), (0.5, 0.5), (-0.2, -0.2)])
def test_what_was_won_back_is_the_share_of_the_loss(learns: float, won: float, tmp_path: Path) -> None:
    cut, found = play(World(learns=learns), tmp_path)
    made = of(found, cut)
    assert made["won_back"].value == pytest.approx(won, abs=1e-4)
    assert made["won_back"].passed is (won >= 0.5) and made["won_back"].version_digest == "v3"
    assert made["mae_before_change"].value == 0 and made["mae_before_change"].version_digest == "v2"
    assert made["mae_after_change"].value == pytest.approx(cut.final.y[found.judged].mean(), rel=1e-3)
    assert (made["won_back"].run, made["won_back"].rollout) == ("TrainingRun-3", "ModelRollout-3")
    assert made["mae"].run == "run-2" and "0.5 times as much" in made["won_back"].note


def test_a_turn_that_made_no_version_won_nothing_back_and_says_why(tmp_path: Path) -> None:
    cut, found = play(World(makes_version=False), tmp_path)
    made = of(found, cut)
    assert (made["won_back"].value, made["won_back"].version_digest, made["won_back"].passed) == (0.0, "v2", False)
    assert "TrainingRun-3 made no version: Gates: worse" in made["won_back"].note


def test_only_readings_of_the_target_change(tmp_path: Path) -> None:
    two: Scenario = replace(EXAMPLE, choices=Choices(time_column="t", lags=(24,)))
    model = replace(MODEL, input=replace(MODEL.input, shape=(2, 4)))
    which = change.columns(two, model)
    x = np.ones((3, 2, 4), dtype=np.float32)
    rows = change.scaled(replace(final(), x=x), FACTOR, which)
    np.testing.assert_array_equal(rows.x[0, 0], [FACTOR, 1, 1, FACTOR])
    np.testing.assert_array_equal(rows.y, final().y * FACTOR)


def test_a_change_that_is_none_and_one_without_rows_are_not_played(tmp_path: Path) -> None:
    cut, told = Spans(tmp_path, tmp_path, final(), final(), ROWS, {}), list[str]()
    assert change.begin(replace(EXAMPLE, change_factor=1.0), cut, 0, told.append) is None and not told
    assert change.begin(EXAMPLE, cut, ROWS - 10, told.append) is None
    assert told == ["the change is not played: 10 rows are left, 300 are asked for"]
