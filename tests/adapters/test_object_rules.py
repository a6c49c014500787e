"""What the stores refuse that an API server refuses by its schema."""

import pytest

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors, writers


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["b", "a"], id="another order"),
        pytest.param(["a"], id="one less"),
        pytest.param(["a", "bc"], id="another name that begins alike"),
        pytest.param(["a", "x", "b"], id="one in between"),
    ],
)
def test_the_classes_of_a_model_are_never_put_in_another_order(names: list[str]) -> None:
    store = MemoryObjects()
    store.create("EdgeModel", "m", {"classNames": ["a", "b"]}, manager=writers.OPERATOR)
    with pytest.raises(errors.InputError, match="may only be appended to"):
        store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec={"classNames": names})
    store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec={"classNames": ["a", "b", "c"]})
    assert store.get("EdgeModel", "m").spec["classNames"] == ["a", "b", "c"]


FORECAST = {"target": "load", "unit": "kWh", "stepSeconds": 900, "naive": [1]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"forecast": {"unit": "MWh"}}, "forecast.unit is 'kWh' and cannot become 'MWh': every value"),
        ({"forecast": {"target": "heat"}}, "forecast.target is 'load' and cannot become 'heat'"),
        ({"forecast": {"stepSeconds": 3600}}, "forecast.stepSeconds is 900 and cannot become 3600"),
        ({"forecast": {"horizon": 4}}, "forecast.horizon is 1 and cannot become 4: every answer would mean"),
        ({"forecast": {"horizon": 4, "steps": 4}}, "forecast.horizon is 1 and cannot become 4"),
        ({"forecast": {"quantilesPermille": [50, 500, 950]}}, "quantilesPermille is .100, 500, 900. and cannot become"),
        ({"task": "Classification", "forecast": None, "classNames": ["a", "b"]}, "task is Forecast and cannot become"),
        ({"task": None}, "task is Forecast and cannot become Classification"),
    ],
)
def test_what_a_model_forecasts_never_means_something_else(change: dict[str, object], told: str) -> None:
    """Before: the local store took another unit, and errors in kWh were shown as MWh."""
    store = MemoryObjects()
    store.create("EdgeModel", "m", {"task": "Forecast", "forecast": FORECAST}, manager=writers.OPERATOR)
    with pytest.raises(errors.InputError, match=told):
        store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec=change)
    said = {"naive": [1, 96], "horizon": 1, "steps": 1, "quantilesPermille": [100, 500, 900]}
    store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec={"forecast": said})  # what held unsaid is no change
    assert store.get("EdgeModel", "m").spec["forecast"] == FORECAST | said
