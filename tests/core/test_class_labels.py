"""Which class a label means: one row for each sentence of the rule."""

import unicodedata

import pytest

from skerry.core import class_labels, errors
from skerry.core.class_labels import Classes

CODES, GRADES, DIGITS, STATES = ("01", "02", "03"), ("3", "4", "5", "6", "7", "8"), ("0", "1", "2"), ("ok", "worn")


@pytest.mark.parametrize(
    ("classes", "labels", "indices"),
    [
        pytest.param(Classes(CODES), ["01", "03"], [0, 2], id="texts that are names are names"),
        pytest.param(Classes(("1.0", "2.0")), ["2.0", "1.0"], [1, 0], id="releases are names"),
        pytest.param(Classes(("true", "false")), ["false", "true"], [1, 0], id="so are truth values"),
        pytest.param(Classes(GRADES), ["3", "4"], [0, 1], id="digits that are exactly names are names"),
        pytest.param(Classes(STATES), ["0", "1"], [0, 1], id="digits count where no class is a number"),
        pytest.param(Classes(STATES, ("worn", "ok")), ["0", "1"], [1, 0], id="digits count in the order that is given"),
        pytest.param(Classes(GRADES, GRADES), ["1", "2"], [1, 2], id="digits count where somebody says so"),
        pytest.param(
            Classes(("ölig",)), [unicodedata.normalize("NFD", "ölig")], [0], id="a decomposed umlaut is the same letter"
        ),
        pytest.param(
            Classes((unicodedata.normalize("NFD", "ölig"),)), ["ölig"], [0], id="also when the model is decomposed"
        ),
    ],
)
def test_a_text_is_the_class_of_that_name_or_counts(classes: Classes, labels: list[str], indices: list[int]) -> None:
    assert classes.of_texts(labels) == indices


@pytest.mark.parametrize(
    ("classes", "labels", "indices"),
    [
        pytest.param(Classes(STATES), [1, 0], [1, 0], id="numbers count"),
        pytest.param(Classes(DIGITS), [0, 2], [0, 2], id="names and counting say the same"),
        pytest.param(Classes(GRADES), [3, 7, 8], [0, 4, 5], id="what cannot count is a name"),
        pytest.param(Classes(GRADES, GRADES), [0, 5], [0, 5], id="numbers count where somebody says so"),
    ],
)
def test_a_number_counts_or_is_a_name(classes: Classes, labels: list[int], indices: list[int]) -> None:
    assert classes.of_numbers(labels) == indices


@pytest.mark.parametrize(
    ("classes", "labels", "said"),
    [
        pytest.param(Classes(GRADES), [3, 4], "class '3' (by name) or class '6' (counted", id="both are said"),
        pytest.param(Classes(("1", "2", "3")), [0, 1, 2], "class '1' (by name)", id="also where only some are names"),
        pytest.param(
            Classes(CODES), [1, 2], "class '01' (by name) or class '02'", id="a zero in front is no other name"
        ),
        pytest.param(Classes(STATES), [2], "label 2 is not a class in 0..1", id="beyond the classes"),
        pytest.param(Classes(STATES), [-1], "label -1", id="below the classes"),
    ],
)
def test_a_number_with_two_meanings_or_none_is_refused(classes: Classes, labels: list[int], said: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        classes.of_numbers(labels)
    assert said in str(caught.value)
    assert str(caught.value).count("counted from 0") <= 1


@pytest.mark.parametrize(
    ("classes", "labels", "said"),
    [
        pytest.param(Classes(CODES), ["1", "2"], "class '01' (by name)", id="digits that are almost names"),
        pytest.param(Classes(DIGITS), ["0", "7"], "'7' is no class", id="an unknown digit beside known ones"),
        pytest.param(Classes(STATES), ["01"], "'01' is no class", id="a code does not count"),
        pytest.param(Classes(STATES), ["²"], "'²' is no class", id="a superscript does not count"),
        pytest.param(Classes(STATES), ["ok", ""], "empty", id="an empty label"),
        pytest.param(Classes(STATES, ("ok", "broken")), ["0"], "'broken' is no class", id="an order of other classes"),
    ],
)
def test_a_text_that_is_no_class_is_refused(classes: Classes, labels: list[str], said: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        classes.of_texts(labels)
    assert said in str(caught.value)


def test_names_are_stored_composed() -> None:
    assert class_labels.check_names([unicodedata.normalize("NFD", "ölig")], "x") == ("ölig",)


@pytest.mark.parametrize("name", ["\ufeffok", "gr\ufffd\ufffder", "ok\x00", "a\nb"])
def test_a_name_that_shows_a_wrong_encoding_is_refused(name: str) -> None:
    with pytest.raises(errors.InputError, match="class name"):
        class_labels.check_names(["worn", name], "labels.txt")


def test_names_that_differ_only_in_their_form_are_one() -> None:
    with pytest.raises(errors.InputError, match="twice"):
        class_labels.check_names(["ölig", unicodedata.normalize("NFD", "ölig")], "labels.txt")
