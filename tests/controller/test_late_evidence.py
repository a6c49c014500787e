"""The controller reads the counters that the model's task asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.core.tasks import Forecast

LOAD = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=24)


class Watched(MemoryFleetState):
    """Remembers which answers were asked for: since a comparison began, or the width of their bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
        parts = [counter.split(":") for counter in counters]
        self.asked |= {part[3] for part in parts if part[0] == "answered"}
        return super().count(counters, fields)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"retrain": {"epochs": -1}}, id="a field that cannot be read takes the horizon from no rollout"),
    ],
)
def test_the_past_of_forecasts_is_read_in_buckets_of_hours(more: dict[str, Any], tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    world.import_version(1)
    world.run(25)
    analysis = {"minSamples": 10_000_000, "baseline": "Historical"}
    whole = [{"name": "all", "size": "100%", "soakSeconds": 1}]  # no node is left on the stable version
    world.edit_model(rollout={"analysis": analysis, "waves": whole})
    world.ask_run("run-1")
    world.run(15)
    world.fleetstate = Watched()
    world.restart()
    world.run(5)
    assert world.phase("digits-v2-auto") == "Progressing" and world.fleetstate.asked == {"since", "300000"}
    world.replace_model(task="Forecast", classNames=None, **LOAD.to_json(), **more)
    world.now_ms += LOAD.step_ms
    world.run(5)
    assert world.fleetstate.asked == {"since", "300000", str(6 * LOAD.step_ms)}
