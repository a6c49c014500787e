"""Calibration, thresholds and histograms against hand-made numbers and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skerry.core import confidence, errors

LOGITS = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=20)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=200)


def test_softmax_of_known_logits() -> None:
    got = confidence.softmax([[0.0, np.log(3.0)]])
    np.testing.assert_allclose(got, [[0.25, 0.75]])


def test_a_higher_temperature_is_less_sure() -> None:
    logits = [[0.0, 2.0, 1.0]]
    assert confidence.max_softmax(logits, 4.0)[0] < confidence.max_softmax(logits, 1.0)[0]


@given(LOGITS, st.floats(0.1, 10))
def test_confidence_lies_between_one_over_the_classes_and_one(logits: list[list[float]], temperature: float) -> None:
    got = confidence.max_softmax(logits, temperature)
    assert ((got >= 1 / 3 - 1e-12) & (got <= 1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_with_a_non_finite_logit_is_never_trusted_and_its_neighbours_are_untouched(bad: float) -> None:
    got = confidence.max_softmax([[0.0, bad], [0.0, np.log(3.0)]])
    np.testing.assert_allclose(got, [0.0, 0.75])


@pytest.mark.parametrize(
    ("logits", "temperature"),
    [([1.0, 2.0], 1.0), (np.zeros((2, 0)), 1.0), ([[1.0]], 0.0), ([[1.0]], -1.0), ([[1.0]], float("nan"))],
    ids=["a vector", "no classes", "temperature zero", "temperature negative", "temperature NaN"],
)
def test_bad_arguments_of_softmax_are_named(logits: object, temperature: float) -> None:
    with pytest.raises(errors.InputError):
        confidence.softmax(logits, temperature)  # type: ignore[arg-type]  # wrong on purpose


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0.1, 10))
def test_one_row_in_plain_python_is_the_same(row: list[float], temperature: float) -> None:
    expected = confidence.max_softmax([row], temperature)[0]
    assert confidence.max_softmax_of(row, temperature) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_row_with_a_non_finite_logit_is_never_trusted_either(bad: float, place: int) -> None:
    row = [0.5, 0.1, 0.2]
    row[place] = bad
    assert confidence.max_softmax_of(row) == confidence.max_softmax([row])[0] == 0.0


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found_again(true_temperature: float) -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(scale=3.0, size=(20_000, 5))
    cumulative = confidence.softmax(logits, true_temperature).cumsum(axis=1)
    labels = (cumulative < rng.random((len(logits), 1))).sum(axis=1).clip(max=4)
    assert confidence.fit_temperature(logits, labels) == pytest.approx(true_temperature, rel=0.05)


def test_labels_that_are_always_right_or_always_wrong_stay_within_the_bounds() -> None:
    logits = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert confidence.fit_temperature(logits, np.array([1, 0])) == pytest.approx(0.1, rel=1e-6)
    assert confidence.fit_temperature(logits, np.array([0, 1])) == pytest.approx(10.0, rel=1e-6)


def test_rows_with_non_finite_logits_do_not_move_the_temperature() -> None:
    logits, labels = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.0]]), np.array([1, 0, 1])
    with_bad = np.vstack([logits, [[np.nan, 0.0]]])
    assert confidence.fit_temperature(with_bad, np.append(labels, 0)) == confidence.fit_temperature(logits, labels)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.full((2, 3), np.nan), np.zeros(2, int)),
        (np.zeros((2, 3)), np.zeros(3, int)),
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.zeros((2, 3)), np.array([-1, 0])),
        (np.zeros((2, 3)), np.array([0.0, 1.0])),
    ],
    ids=["no rows", "no finite row", "another length", "label too large", "label negative", "labels not integers"],
)
def test_a_temperature_without_usable_labels_is_refused(logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(errors.InputError):
        confidence.fit_temperature(logits, labels)


@given(SHARES, st.floats(0, 1))
def test_at_most_the_target_rate_lies_below_the_threshold_and_a_higher_one_would_pass_it(
    values: list[float], rate: float
) -> None:
    threshold, array = confidence.threshold_for_rate(values, rate), np.array(values)
    assert (array < threshold).mean() <= rate
    if threshold <= 1:
        assert (array <= threshold).sum() > np.floor(rate * len(array))


def test_a_tenth_of_a_hundred_distinct_confidences_is_ten() -> None:
    values = np.arange(100) / 100
    assert (values < confidence.threshold_for_rate(values, 0.1)).sum() == 10


@pytest.mark.parametrize(
    ("values", "rate"),
    [([], 0.1), ([0.5], -0.1), ([0.5], 1.1), ([1.5], 0.1), ([float("nan")], 0.1), ([-0.1], 0.1)],
    ids=["none", "negative rate", "rate above one", "confidence above one", "NaN", "negative confidence"],
)
def test_a_threshold_from_nonsense_is_refused(values: list[float], rate: float) -> None:
    with pytest.raises(errors.InputError):
        confidence.threshold_for_rate(values, rate)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=100))
def test_every_value_is_counted_once(values: list[float]) -> None:
    assert sum(confidence.histogram(values)) == len(values)


def test_bins_are_equal_and_one_falls_into_the_last() -> None:
    counts = confidence.histogram([0.0, 0.049, 0.05, 0.999, 1.0])
    assert (counts[0], counts[1], counts[19], len(counts)) == (2, 1, 2, 20)


ROWS_OF_PROBABILITIES = np.array([[0.99, 0.005, 0.005], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])


def test_a_network_that_ends_in_softmax_is_as_sure_as_it_says() -> None:
    logits = confidence.as_logits(ROWS_OF_PROBABILITIES, "probabilities")
    assert confidence.max_softmax(logits) == pytest.approx([0.99, 0.5, 1.0])
    assert [confidence.confidence_of(row, "probabilities") for row in ROWS_OF_PROBABILITIES.tolist()] == pytest.approx(
        [0.99, 0.5, 1.0]
    )


@given(arrays(np.float64, (4, 3), elements=st.floats(-20, 20)), st.floats(0.1, 10))
def test_probabilities_at_a_temperature_are_their_logits_at_that_temperature(z: np.ndarray, temperature: float) -> None:
    probabilities = confidence.softmax(z)
    expected = confidence.max_softmax(z, temperature)
    scores = confidence.as_logits(probabilities, confidence.Outputs.PROBABILITIES)
    assert confidence.max_softmax(scores, temperature) == pytest.approx(expected)
    one_by_one = [confidence.confidence_of(row, "probabilities", temperature) for row in probabilities.tolist()]
    assert one_by_one == pytest.approx(expected)


def test_logits_stay_as_they_are() -> None:
    z = np.array([[9.0, 0.0, 0.0]])
    assert confidence.as_logits(z) is z
    assert confidence.confidence_of([9.0, 0.0, 0.0], "logits", 2.0) == confidence.max_softmax_of([9.0, 0.0, 0.0], 2.0)


@pytest.mark.parametrize(
    "row",
    [[9.0, 0.0, 0.0], [-0.1, 0.6, 0.5], [0.5, 0.1, 0.1], [float("nan"), 0.5, 0.5], [float("inf"), 0.0, 0.0], [0, 0, 0]],
    ids=["a logit", "negative", "too little together", "NaN", "infinite", "nothing"],
)
def test_a_row_that_is_said_to_hold_probabilities_and_does_not_is_never_trusted(row: list[float]) -> None:
    assert confidence.max_softmax(confidence.as_logits([row], "probabilities"))[0] == 0.0
    assert confidence.confidence_of(row, "probabilities") == 0.0
    assert confidence.confidence_of(row, "probabilities", 2.0) == 0.0
    assert not confidence.are_probabilities([row])


def test_probabilities_are_known_from_logits() -> None:
    assert confidence.are_probabilities(ROWS_OF_PROBABILITIES)
    assert confidence.are_probabilities(ROWS_OF_PROBABILITIES.astype(np.float16))
    assert not confidence.are_probabilities([[0.2, 0.8], [3.0, -1.0]])
    assert not confidence.are_probabilities(np.zeros((0, 3)))
    assert not confidence.are_probabilities([[1.0], [1.0]])


def test_a_teachers_answer_is_told_as_the_local_network_answers() -> None:
    logits = np.array([[2.0, 0.0, -1.0]], dtype=np.float32)
    probabilities = confidence.softmax(logits).astype(np.float32)
    as_probabilities = confidence.in_terms_of(logits, "probabilities")
    assert as_probabilities.dtype == np.float32
    np.testing.assert_allclose(as_probabilities, probabilities)
    np.testing.assert_allclose(confidence.softmax(confidence.in_terms_of(probabilities, "logits")), probabilities)
    assert confidence.in_terms_of(logits, "logits") is logits
    assert confidence.in_terms_of(probabilities, "probabilities") is probabilities
