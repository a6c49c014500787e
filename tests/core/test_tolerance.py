"""How far two answers to one row may lie apart."""

import numpy as np
import pytest

from skerry.core import tolerance


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        pytest.param([[1.0, -50.0]], 1.0, id="two percent of the largest, of either sign"),
        pytest.param([[0.001, 0.0]], 0.001, id="never nothing"),
        pytest.param([[np.nan, np.inf, 10.0]], 0.2, id="what is not finite decides nothing"),
        pytest.param([], 0.001, id="no answers"),
    ],
)
def test_answers_may_differ_by_a_share_of_the_largest(answers: list[list[float]], wanted: float) -> None:
    assert tolerance.of(np.array(answers, np.float32)) == pytest.approx(wanted)
