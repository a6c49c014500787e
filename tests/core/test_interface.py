"""Each row: one thing that clients of a model rely on, and how a version departs from it."""

import re
from dataclasses import replace
from typing import Any

import manifests
import pytest

from skerry.core import interface, manifest, specs, tensors
from skerry.core.tasks import Classification, Forecast

MODEL = specs.parse_edge_model(
    "digits",
    {"classNames": list("0123456789"), "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]}},
)


def image(name: str = "image", datatype: str = "UINT8", shape: tuple[int, ...] = (28, 28)) -> dict[str, Any]:
    return {"inputs": (tensors.Spec(name, datatype, shape),)}


DEPARTURES = [
    pytest.param(
        {"task": Classification(tuple("1023456789"))}, "class 0 (is '1', that|was '0' and)", id="another order"
    ),
    pytest.param(
        {"task": Classification(tuple("012345678x"))}, "class 9 (is 'x', that|was '9' and)", id="another last class"
    ),
    pytest.param(image(name="picture"), "named 'picture', that of .* 'image'", id="another name of the input"),
    pytest.param(image(datatype="FP32"), "is FP32, that of .* UINT8", id="another datatype"),
    pytest.param(image(shape=(32, 32)), r"shape \[32, 32\], that of .* \[28, 28\]", id="another size"),
    pytest.param(image(shape=(1, 28, 28)), r"shape \[1, 28, 28\]", id="another number of axes"),
    pytest.param({"outputs": (tensors.Spec("y", "FP32", (12,)),)}, "12 numbers a row, .* 10 classes", id="wide"),
]
ALIKE = [
    pytest.param({}, id="the same"),
    pytest.param({"outputs": (tensors.Spec("probabilities", "FP32", (10,)),)}, id="an output of another name"),
    pytest.param({"outputs": (tensors.Spec("logits", "FP32", (-1,)),)}, id="a width that the network leaves open"),
    pytest.param(image(shape=(-1, 28)), id="an axis of any size where one was fixed"),
    pytest.param({"preprocessing": (), "network_inputs": image()["inputs"]}, id="other preprocessing"),
]


def version(**changes: Any) -> manifest.Manifest:
    return manifests.digits(**changes)


@pytest.mark.parametrize(("changes", "told"), DEPARTURES)
def test_what_departs_from_the_description_is_told(changes: dict[str, Any], told: str) -> None:
    assert re.search(told, interface.difference(MODEL, version(**changes)))


@pytest.mark.parametrize(("changes", "told"), DEPARTURES)
def test_what_departs_from_the_version_before_is_told(changes: dict[str, Any], told: str) -> None:
    assert re.search(told, interface.change(version(), version(**changes)))


@pytest.mark.parametrize("changes", ALIKE)
def test_what_every_client_can_go_on_with_is_no_difference(changes: dict[str, Any]) -> None:
    assert interface.difference(MODEL, version(**changes)) == ""
    assert interface.change(version(), version(**changes)) == ""


def of_classes(names: str) -> manifest.Manifest:
    return version(task=Classification(tuple(names)), outputs=(tensors.Spec("y", "FP32", (len(names),)),))


def test_the_model_has_the_classes_of_every_version_and_may_have_more() -> None:
    assert interface.difference(MODEL, of_classes("012345678")) == ""
    told = interface.difference(MODEL, of_classes("0123456789x"))
    assert told == "its classes are no beginning of the model's: it has 11 classes, the model has 10"


def test_a_version_may_know_more_classes_than_the_one_before_and_none_less() -> None:
    assert interface.change(version(), of_classes("0123456789x")) == ""
    told = interface.change(version(), of_classes("012345678"))
    assert "there were 10 classes and would be 9: '9' is missing" in told


def test_an_axis_that_was_free_must_stay_free() -> None:
    told = interface.change(version(**image(shape=(-1, 28))), version())
    assert told == "a row of its input 'image' has shape [28, 28], that of the version before it [any, 28]"


def test_a_further_input_is_compared_with_the_version_before() -> None:
    two = (tensors.Spec("image", "UINT8", (28, 28)), tensors.Spec("age", "FP32", (1,)))
    old = version(inputs=two, network_inputs=two)
    assert interface.difference(MODEL, old) == ""
    assert interface.change(old, version()) == "it takes the inputs image, the version before it image, age"
    other = (two[0], tensors.Spec("age", "INT64", (1,)))
    told = interface.change(old, version(inputs=other, network_inputs=other))
    assert told == "its input 'age' is INT64, that of the version before it FP32"


def test_a_version_of_another_model_is_none_of_this_one() -> None:
    assert interface.difference(MODEL, version(model="letters")) == "it is a version of 'letters', not of 'digits'"


def test_a_forecaster_of_another_width_unit_or_task_is_none_of_the_models() -> None:
    load = Forecast("load", "kWh", (100, 500, 900), 3600)
    wide = version(task=load, outputs=(tensors.Spec("quantiles", "FP32", (12,)),))
    fits = replace(wide, outputs=(tensors.Spec("quantiles", "FP32", (3,)),))
    model = replace(MODEL, task=load)
    assert interface.difference(model, fits) == interface.change(fits, fits) == ""
    told = "it answers 12 numbers a row, and a forecast of load in kWh takes 3"
    assert interface.difference(model, wide) == interface.change(fits, wide) == told
    assert "unit 'kWh', that of the model 'MWh'" in interface.difference(
        replace(MODEL, task=replace(load, unit="MWh")), fits
    )
    assert interface.difference(MODEL, fits) == "its task is Forecast, the model's is Classification"
