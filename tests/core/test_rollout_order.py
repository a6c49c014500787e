"""Which of several rollouts of one model goes on."""

import pytest

from skerry.core import rollout, specs


def known(name: str, created_ms: int, model: str = "m") -> tuple[int, specs.ModelRollout, rollout.Status]:
    return created_ms, specs.parse_rollout(name, {"model": model, "version": f"{model}-v1"}), rollout.Status()


ORDERS = [
    pytest.param([known("m-v1-a", 1000), known("m-v2-a", 2000)], "m-v2-a", id="the one created last"),
    pytest.param([known("m-v2-a", 2000), known("m-v1-b", 3000)], "m-v1-b", id="whatever its version"),
    pytest.param(
        [known("m-v10-auto", 1000), known("m-v9-auto", 1000)], "m-v10-auto", id="of one second the higher number"
    ),
    pytest.param(
        [known("m-v9-auto", 1000), known("m-v10-auto", 1000)], "m-v10-auto", id="in whatever order they are read"
    ),
    pytest.param([known("a", 1000), known("x", 1000)], "x", id="names of people sort too"),
]


@pytest.mark.parametrize(("given", "goes_on"), ORDERS)
def test_one_goes_on_and_the_others_yield_to_it(
    given: list[tuple[int, specs.ModelRollout, rollout.Status]], goes_on: str
) -> None:
    found = rollout.superseded_by(given)
    assert found == {spec.name: "" if spec.name == goes_on else goes_on for _, spec, _ in given}


def test_models_do_not_meet() -> None:
    found = rollout.superseded_by([known("a", 1000), known("b", 2000, model="other")])
    assert found == {"a": "", "b": ""}
