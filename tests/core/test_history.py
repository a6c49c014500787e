"""Which finished rollouts and runs may go."""

import pytest

from skerry.core import history
from skerry.core.history import MIN_KEPT, Past

KEEP = MIN_KEPT


def ended(count: int, model: str = "m", good: frozenset[int] = frozenset()) -> list[Past]:
    return [Past(f"{model}-{n}", model, 1000 + n, n, "all" if n in good else "") for n in range(count)]


def test_of_each_model_the_newest_stay_and_the_oldest_go_first() -> None:
    assert history.surplus([*ended(KEEP + 2), *ended(KEEP, "other")], KEEP, ()) == ["m-0", "m-1"]


CASES = [
    pytest.param(ended(KEEP + 2, good=frozenset({0})), (), ["m-1"], id="the last that succeeded on its fleet stays"),
    pytest.param(ended(KEEP + 2, good=frozenset({0, 1})), (), ["m-0"], id="and no earlier one of that fleet"),
    pytest.param(ended(KEEP + 2), ("m-0",), ["m-1"], id="what is needed stays"),
    pytest.param([*ended(KEEP + 1), Past("on", "m", 0, 0)], (), ["m-0"], id="what goes on neither goes nor counts"),
    pytest.param(
        [*ended(KEEP + 1), Past("n", "m", 5, 0, "north"), Past("s", "m", 6, 0, "south")],
        (),
        ["m-0"],
        id="the last good one of each fleet stays",
    ),
]


@pytest.mark.parametrize(("past", "needed", "gone"), CASES)
def test_what_stays_in_any_case(past: list[Past], needed: tuple[str, ...], gone: list[str]) -> None:
    assert history.surplus(past, KEEP, needed) == gone


def test_fewer_than_retraining_looks_back_at_are_never_kept() -> None:
    assert len(history.surplus(ended(MIN_KEPT + 5), 0, ())) == 5
