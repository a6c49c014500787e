"""The join of facts both ways: what led to what, and what nobody can say any more."""

from collections.abc import Mapping

import pytest

from skerry.core import lineage
from skerry.core.lineage import Dataset, Example, Facts, Node, Run, Version

LABEL = lineage.Label("ok", "Teacher", "teacher press 1", 10)
FACTS = Facts(
    examples=(Example("e", "press", node="north", label=LABEL, datasets=("d2",)),),
    datasets=(Dataset("d1", "press", 1, 4, 1, 0), Dataset("d2", "press", 2, 5, 1, 1, ("d1",), {"north": (1, 0)})),
    runs=(Run("r", "press", "d2", "drift", "Published", "", 3),),
    versions=(Version("v", "press", "sha256:v", "Trained", "r", "d2", "", 4),),
    nodes=(Node("north", {"press": "sha256:v"}, 5), Node("south", {"press": "sha256:v"}, 5)),
)


def names(side: Mapping[lineage.Kind, tuple[lineage.Fact, ...]]) -> list[str]:
    return [fact.name for kind in lineage.KINDS for fact in side[kind]]


@pytest.mark.parametrize(
    ("kind", "name", "before", "after"),
    [
        pytest.param("example", "e", [], ["d2", "r", "v", "north", "south"], id="from an example on"),
        pytest.param("dataset", "d1", [], ["d2", "r", "v", "north", "south"], id="from an import on"),
        pytest.param("dataset", "d2", ["e", "d1"], ["r", "v", "north", "south"], id="in the middle"),
        pytest.param("run", "r", ["e", "d1", "d2"], ["v", "north", "south"], id="of a run"),
        pytest.param("version", "v", ["e", "d1", "d2", "r"], ["north", "south"], id="of a version"),
        pytest.param("node", "south", ["e", "d1", "d2", "r", "v"], [], id="of a node that teaches nothing"),
        pytest.param("node", "north", ["e", "d1", "d2", "r", "v"], ["d2", "r", "v", "south"], id="of one that teaches"),
    ],
)
def test_whatever_one_begins_with_the_whole_chain_is_there(
    kind: lineage.Kind, name: str, before: list[str], after: list[str]
) -> None:
    found = lineage.join(FACTS, kind, name)
    assert (names(found.before), names(found.after), found.unknown) == (before, after, ())


@pytest.mark.parametrize(
    ("facts", "kind", "name", "says"),
    [
        pytest.param(
            Facts(examples=(Example("e", "press"),)),
            "example",
            "e",
            "it has no label yet",
            id="an example without a label",
        ),
        pytest.param(
            Facts(examples=(Example("e", "press", label=LABEL),)),
            "example",
            "e",
            "no stored dataset holds",
            id="in no dataset",
        ),
        pytest.param(
            Facts(examples=(Example("e", "press", is_stored=False, label=LABEL, datasets=("d",)),)),
            "example",
            "e",
            "the example itself is not stored",
            id="a label alone",
        ),
        pytest.param(Facts(runs=FACTS.runs), "run", "r", "not stored any more", id="a run whose dataset is gone"),
        pytest.param(
            Facts(versions=FACTS.versions), "version", "v", "TrainingRun was deleted", id="a run that is gone"
        ),
        pytest.param(
            Facts(versions=(Version("v", "press", "sha256:v", "Trained", "", None, "", 4),)),
            "version",
            "v",
            "its manifest, which names it, is not stored",
            id="a manifest that is gone",
        ),
        pytest.param(
            Facts(nodes=FACTS.nodes), "node", "north", "no ModelVersion has this digest", id="a version nobody has"
        ),
    ],
)
def test_what_a_fact_names_and_nobody_has_is_told(facts: Facts, kind: lineage.Kind, name: str, says: str) -> None:
    assert says in " ".join(one.why for one in lineage.join(facts, kind, name).unknown)
