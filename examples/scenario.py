"""What one example is: its data, how the series is imported, the spans of its time, the bars that it is held to.

A scenario decides nothing about models: what a version is, when it is retrained and how it is judged stands in its
`model.yaml`, as an operator would apply it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from examples.battery import Battery
from skerry.cli.importing.series import Choices


@dataclass(frozen=True, slots=True)
class Bar:
    """`low` ≤ value ≤ `high`."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g}–{self.high:g}"


class Barred(Protocol):
    """What is held to bars: all that a row needs of it when nothing was measured."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> str: ...

    @property
    def bars(self) -> Mapping[str, Bar]: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """`data` is the name of a table in the folder of data sets, gzipped there. `choices`: how its rows are meant.
    `first`: earlier rows, by the text of their time, are left out. `base_share` of the times is imported and trains the
    first version; the last `final_share` is for the bars alone; what lies between is replayed. `bars` by metric.
    `battery`: what the forecasts run, where the target is a load. `change_factor`: after the final the sensor reads so
    many times as much; 1: nothing changes. `worse_factor`: the worse version is made for a sensor that reads so many
    times as much."""

    name: str
    data: str
    folder: Path
    choices: Choices
    bars: Mapping[str, Bar]
    first: str = ""
    base_share: float = 0.6
    final_share: float = 0.2
    battery: Battery | None = None
    change_factor: float = 1.0
    worse_factor: float = 0.6

    @property
    def model_file(self) -> Path:
        return self.folder / "model.yaml"


def options(choices: Choices) -> list[str]:
    """The same choices as options of `skerry datasets import`."""
    said = ["--time-column", choices.time_column, "--holdout", str(choices.holdout_share)]
    for option, value in (
        ("--time-format", choices.time_format),
        ("--midnight", choices.midnight),
        ("--duplicates", choices.duplicates),
        ("--calendar", ",".join(choices.calendar)),
    ):
        said += [option, value] if value else []
    for option, values in (("--feature", choices.features), ("--lag", map(str, choices.lags))):
        for text in values:
            said += [option, text]
    return said
