"""Which class an index means: label maps are equal or appended to, and a digest says which of them is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import label_map

NAMES = ("cat", "dog", "bird")


@pytest.mark.parametrize(
    ("after", "word"),
    [
        pytest.param(("cat", "dog", "bird"), "", id="the same map may follow"),
        pytest.param(("cat", "dog", "bird", "fish"), "", id="a class may be appended"),
        pytest.param(("dog", "cat", "bird"), "class 0 was 'cat' and would be 'dog'", id="an order may not change"),
        pytest.param(("cat", "fish", "dog", "bird"), "class 1 was 'dog'", id="a class may not be put in between"),
        pytest.param(("cat", "dog"), "'bird' is missing", id="a class may not go"),
        pytest.param((), "'cat' is missing", id="no class at all may not follow"),
    ],
)
def test_a_label_map_is_equal_or_appended_to(after: tuple[str, ...], word: str) -> None:
    fault = label_map.fault(NAMES, after)
    assert word in fault and bool(fault) == bool(word)


def test_a_name_is_the_same_however_its_letters_are_composed() -> None:
    assert label_map.fault(("\u00f6",), ("o\u0308", "b")) == ""
    assert label_map.digest(("\u00f6",)) == label_map.digest(("o\u0308",))


@given(st.lists(st.text(), min_size=1, max_size=6), st.data())
def test_a_digest_tells_which_beginning_of_the_names_is_meant(names: list[str], data: st.DataObject) -> None:
    length = data.draw(st.integers(1, len(names)))
    assert label_map.length(label_map.digest(names[:length]), names) == length


def test_a_digest_of_another_map_is_no_beginning() -> None:
    assert label_map.length(label_map.digest(("dog", "cat")), NAMES) is None
    assert label_map.length(label_map.digest((*NAMES, "fish")), NAMES) is None
    assert label_map.length("", NAMES) is None
