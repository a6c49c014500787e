"""What becomes of a worse version is told by what refused it or took it back, and by nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import faulty, traffic, worse
from examples.client import Answer
from examples.spans import Asked, Spans
from examples.worse import Worse
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo.event_log import KINDS, Snapshot
from skerry.core import errors, specs
from skerry.core.tasks import Forecast

MODEL = specs.parse_edge_model(
    "m",
    {
        "task": "Forecast",
        **Forecast("load", "kWh", (100, 500, 900), 900, horizon=1).to_json(),
        "input": {"name": "window", "datatype": "FP32", "shape": [2, 1]},
    },
)
REFUSED = errors.RejectedError("the gates say no")


class World:
    """Imports end as `imports` says, one after the other (None: taken); the rollout ends as it is."""

    def __init__(self, *imports: errors.SkerryError | None, result: str = "Fail", ended: bool = True) -> None:
        self.imports, self.commands = list(imports), list[tuple[str, ...]]()
        self._result, self._ended, self._rollouts = result, ended, 1
        self.factors = list[float]()  # of the tables that were written

    def skerry(self, *arguments: str) -> str:
        self.commands.append(arguments[:2])
        if arguments[0] == "models":
            if (outcome := self.imports.pop(0)) is not None:
                raise outcome
            self._rollouts = 2
        return ""

    def look(self) -> Snapshot:
        done = {"conditions": [{"type": "Succeeded", "status": "False"}]} if self._ended else {}
        status = done | {"phase": "RolledBack", "waves": [{"verdict": {"result": self._result, "reason": "why"}}]}
        found = {
            f"out-{n}": Object("ModelRollout", f"out-{n}", "u", {}, status, {}, 1, 1, n) for n in range(self._rollouts)
        }
        return Snapshot({kind: found if kind == "ModelRollout" else {} for kind in KINDS})

    def until(self, what: str, reached: Any, timeout_s: float) -> Snapshot:
        if not reached(self.look()):
            raise errors.UnavailableError(what)
        return self.look()

    # the clock
    def ask(self, rows: Asked, index: int, name: str) -> Answer:
        return Answer(index, f"{name}-{index}", "edge-1", "w", 0.5, (1.0,), (0.0,), (2.0,), "token")

    def run_out(self) -> None: ...


def play(world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Worse:
    def table(source: Path, target: str, factor: float, out: Path) -> Path:
        world.factors.append(factor)
        return out

    monkeypatch.setattr(worse, "_network", lambda stack, example, model: b"network")
    monkeypatch.setattr(faulty, "table", table)
    rows = Asked(np.zeros((3, 2, 1), np.float32), np.zeros((3, 1)), np.zeros((3, 1, 1)), np.arange(3), 1)
    found = Worse()
    example = replace(traffic.SCENARIO, worse_factor=0.25)
    worse.play(world, world, example, MODEL, Spans(tmp_path / "b", tmp_path / "h", rows, rows, 3, {}), found)
    return found


def test_refused_by_the_true_table_and_found_at_the_canary(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(REFUSED, None)
    found = play(world, tmp_path, monkeypatch)
    assert world.factors == [0.25], "the example's own"
    assert (found.refusal, found.rollout, found.is_found, found.why) == ("the gates say no", "out-1", True, "why")
    assert len(found.answers) == 1, "no longer asked once the rollout has ended"


def test_a_command_that_failed_for_another_reason_is_no_refusal(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.UnavailableError, match="no such option"):
        play(World(errors.UnavailableError("no such option")), tmp_path, monkeypatch)


def test_gates_that_take_it_are_told_and_nothing_more_is_tried(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(None)
    found = play(world, tmp_path, monkeypatch)
    assert (found.refusal, found.is_found, world.commands) == ("", False, [("models", "import")])


@pytest.mark.parametrize(
    ("world", "why"),
    [
        pytest.param(World(REFUSED, None, result="Inconclusive"), "why", id="taken back without a verdict"),
        pytest.param(World(REFUSED, None, ended=False), "why; aborted by hand", id="ended by hand"),
    ],
)
def test_only_a_verdict_finds_it(world: World, why: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = play(world, tmp_path, monkeypatch)
    assert (found.is_found, found.why) == (False, why)
    assert (("rollout", "abort") in world.commands) == ("by hand" in why)
