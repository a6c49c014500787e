"""Which way with unequal classes a run takes: a table of sentences, and each choice says why."""

import numpy as np
import pytest

from skerry.core import balancing
from skerry.core.balancing import Kind

NAMES = ("ok", "worn", "broken")
IMAGE, WINDOW, TABLE, TOKENS = Kind.IMAGE, Kind.WINDOW, Kind.TABLE, Kind.TOKENS
SKEWED, TINY = [500, 480, 10], [500, 480, 3]


@pytest.mark.parametrize(
    ("asked", "counts", "kind", "augments", "way", "word"),
    [
        pytest.param("auto", [500, 480, 400], IMAGE, True, "none", "no class has less than half", id="equal classes"),
        pytest.param("draws", [500, 480, 400], IMAGE, True, "none", "no class has less", id="equal, whatever is asked"),
        pytest.param("auto", [0, 0, 0], TABLE, True, "none", "there are no rows", id="no rows"),
        pytest.param("auto", SKEWED, IMAGE, True, "draws", "only their rows are augmented", id="images are augmented"),
        pytest.param("auto", SKEWED, IMAGE, False, "logits", "images are not augmented", id="images without"),
        pytest.param("auto", SKEWED, WINDOW, True, "draws", "'broken' has 10 rows, 'ok' has 500", id="windows"),
        pytest.param("auto", SKEWED, WINDOW, False, "synthetic", "a window is not augmented", id="windows without"),
        pytest.param("auto", SKEWED, TABLE, False, "synthetic", "between neighbours", id="tables"),
        pytest.param("auto", TINY, TABLE, False, "logits", "fewer than 6 rows", id="a table with too few neighbours"),
        pytest.param("auto", SKEWED, TOKENS, True, "logits", "no values between", id="texts"),
        pytest.param("weights", SKEWED, TABLE, False, "weights", "asked for by retrain.balance", id="as asked"),
        pytest.param("none", SKEWED, IMAGE, True, "none", "asked for", id="nothing, as asked"),
        pytest.param("synthetic", SKEWED, IMAGE, True, "draws", "no image", id="no pixels between images"),
        pytest.param("synthetic", TINY, TABLE, False, "logits", "has 3 rows", id="too few for neighbours"),
        pytest.param("mixup", SKEWED, TOKENS, False, "logits", "ids cannot be blended", id="no blend of ids"),
    ],
)
def test_the_way(asked: str, counts: list[int], kind: Kind, augments: bool, way: str, word: str) -> None:
    choice = balancing.choose(asked, np.int64(counts), NAMES, kind, augments=augments)
    assert choice.way == way and word in choice.reason


def test_without_what_makes_rows_none_are_made() -> None:
    choice = balancing.choose("auto", np.int64(SKEWED), NAMES, TABLE, augments=False, makes_rows=False)
    assert choice.way == "logits" and "not installed" in choice.reason


@pytest.mark.parametrize(
    ("dtype", "axes", "reads", "kind"),
    [
        pytest.param("f", 4, "", IMAGE, id="three axes are an image"),
        pytest.param("f", 3, "images", IMAGE, id="two axes are one where the network says so"),
        pytest.param("f", 3, "", WINDOW, id="two axes are a window"),
        pytest.param("f", 2, "", TABLE, id="one axis is a row of a table"),
        pytest.param("i", 2, "", TOKENS, id="whole numbers are ids"),
    ],
)
def test_what_a_row_is(dtype: str, axes: int, reads: str, kind: Kind) -> None:
    assert Kind.of(dtype, axes, reads) is kind
