"""The controller reads the counters that the model's task asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import controlling

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.core.tasks import Forecast

LOAD = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=24)


class Watched(MemoryFleetState):
    """Remembers the kinds of counters that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def count(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        self.asked |= {counter.partition(":")[0] for counter in counters}
        return super().count(counters)


def test_the_truth_of_forecasts_is_read_from_wide_counters_too(tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    world.import_version(1)
    world.run(25)
    world.edit_model(rollout={"analysis": {"minSamples": 10_000_000}})
    world.ask_run("run-1")
    world.run(15)
    world.fleetstate = Watched()
    world.restart()
    world.run(5)
    assert world.phase("digits-v2-auto") == "Progressing" and world.fleetstate.asked == {"evidence", "requests"}
    world.replace_model(task="Forecast", classNames=None, **LOAD.to_json())
    world.now_ms += LOAD.step_ms
    world.run(5)
    assert world.fleetstate.asked == {"evidence", "evidence-wide", "requests"}
