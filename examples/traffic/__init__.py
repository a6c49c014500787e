"""Vehicles an hour on an interstate, an hour ahead: from half a day of hours, last week's value and the calendar."""

from pathlib import Path

from examples.scenario import Bar, Scenario
from skerry.cli.importing.series import Choices

SCENARIO = Scenario(
    name="traffic",
    data="metro_interstate_traffic_volume.csv",
    folder=Path(__file__).parent,
    choices=Choices(time_column="date_time", lags=(168,), calendar=("hour", "weekday"), holdout_share=0.12),
    bars={
        "mae": Bar(high=150),
        "coverage": Bar(0.75, 0.85),
        "hardest_tenth_ratio": Bar(low=1.6),
        "answered": Bar(low=4300),
        "worse_refused_by_gates": Bar(low=1),
        "worse_rolled_back": Bar(low=1),
        "won_back": Bar(low=0.5),
    },
    first="2016",
    base_share=0.65,
    change_factor=0.8,
)
