"""What a steel plant draws in the coming hour, a quarter of an hour at a time: from six hours of past readings, and
from what was drawn a day and a week before."""

from pathlib import Path

from examples.battery import Battery
from examples.scenario import Bar, Scenario
from skerry.cli.importing.series import Choices

# Chosen before the final: on base and replay 300 kW shave no more than 200 do (438 kW with perfect foresight), 100 kW
# shave less (454 kW), so that what decides is the charge, and when it is given.
BATTERY = Battery(capacity_kwh=100, power_kw=200, efficiency=0.9)
SCENARIO = Scenario(
    name="energy",
    data="steel_industry_energy.csv",
    folder=Path(__file__).parent,
    choices=Choices(
        time_column="date",
        time_format="%d/%m/%Y %H:%M",
        midnight="end-of-day",
        features=(
            "Lagging_Current_Reactive.Power_kVarh",
            "Leading_Current_Reactive_Power_kVarh",
            "Lagging_Current_Power_Factor",
            "Leading_Current_Power_Factor",
        ),
        lags=(96, 672),
        calendar=("hour:6", "weekday"),
        holdout_share=0.12,
    ),
    bars={
        "mae": Bar(high=4.35),
        "coverage": Bar(0.75, 0.85),
        "hardest_tenth_ratio": Bar(low=1.6),
        "worse_refused_by_gates": Bar(low=1),
        "worse_rolled_back": Bar(low=1),
        "won_back": Bar(low=0.5),
    },
    base_share=0.65,
    battery=BATTERY,
    # Both chosen on the replay: what the network tells is the change from the last reading, so a factor near 1 costs it
    # little. 0.4 costs it 24 % (0.8: 1 %). A tenth is what a table in another unit comes to.
    change_factor=0.4,
    worse_factor=0.1,
)
