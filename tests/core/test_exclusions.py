"""Which nodes nothing is learned from, how many rows are left without them, and which versions learned from them."""

import dataclasses

import pytest

from skerry.core import datasets, errors, exclusions
from skerry.core.tasks import Classification

INPUT = datasets.Input("x", "FP32", (2,))
PART = datasets.Part("train", "captured", "sha256:" + "0" * 64, 100, (60, 40))
MANIFEST = datasets.DatasetManifest(
    "press",
    Classification(("a", "b")),
    INPUT,
    (PART,),
    dropped={datasets.OVER_BUDGET: 5},
    nodes={"cam-1": datasets.NodeRows(50, 10), "cam-2": datasets.NodeRows(30, 10)},
)


def test_an_exclusion_that_names_a_node_counts_even_if_the_rest_cannot_be_read() -> None:
    specs = [{"node": "cam-1", "reason": 7}, {"node": "cam-2"}, {"node": 3}, {"reason": "x"}, {"node": "No Name"}]
    assert exclusions.nodes(specs) == {"cam-1", "cam-2"}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        pytest.param({}, "node", id="a node must be named"),
        pytest.param({"node": "No Name"}, "node", id="by a name that a node can have"),
        pytest.param({"node": "cam-1", "reason": 3}, "reason", id="a reason is a text"),
        pytest.param({"node": "cam-1", "atUnixMs": -1}, "atUnixMs", id="a time is no time before 1970"),
    ],
)
def test_what_is_wrong_with_an_exclusion_is_named(spec: dict[str, object], word: str) -> None:
    with pytest.raises(errors.InputError, match=word):
        exclusions.parse("x", spec)


def test_rows_are_counted_without_those_of_excluded_nodes() -> None:
    assert exclusions.without(MANIFEST, ()) == 105
    assert exclusions.without(MANIFEST, ("nobody",)) == 105
    assert exclusions.without(MANIFEST, ("cam-1", "nobody")) == 40


def test_rows_that_made_room_count_no_more_when_they_may_be_of_an_excluded_node() -> None:
    """A flood of one node fills the room: what it pushed out was mostly its own, and would be known for good."""
    flooded = dataclasses.replace(MANIFEST, dropped={datasets.OVER_BUDGET: 100_000})
    assert exclusions.without(flooded, ("cam-2",)) == 60
    assert exclusions.without(flooded, ()) == 100_100


def test_rows_that_name_no_node_count_no_more_once_a_node_is_excluded() -> None:
    of_an_earlier_release = dataclasses.replace(MANIFEST, nodes={})
    assert exclusions.without(of_an_earlier_release, ("cam-1",)) == 0
    assert exclusions.without(of_an_earlier_release, ()) == 105


def test_a_dataset_tells_which_excluded_nodes_taught_it() -> None:
    gave_nothing = dataclasses.replace(MANIFEST, nodes={**MANIFEST.nodes, "cam-3": datasets.NodeRows(0, 0, 7)})
    assert exclusions.taught(gave_nothing, {"cam-2", "cam-3", "nobody"}) == ["cam-2"]
    assert exclusions.taught(gave_nothing, ()) == []


def test_a_version_learned_from_a_node_that_gave_rows_to_its_dataset() -> None:
    learned = exclusions.learned("press-v2", "sha256:" + "1" * 64, MANIFEST, "cam-2")
    assert learned is not None and (learned.version, learned.train, learned.holdout) == ("press-v2", 30, 10)
    assert exclusions.learned("press-v2", "sha256:" + "1" * 64, MANIFEST, "cam-3") is None


def test_a_node_is_forgotten_once() -> None:
    assert exclusions.check_new("cam-3", ["cam-1"]) == "cam-3"
    with pytest.raises(errors.RejectedError, match="forgotten already"):
        exclusions.check_new("cam-1", ["cam-1"])
