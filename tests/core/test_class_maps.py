"""What becomes of labels when a model's classes are renamed, put in another order, removed or merged."""

import pytest

from skerry.core import class_maps, errors, label_map
from skerry.core.class_maps import GONE, FormerClasses
from skerry.core.specs import task
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Classification

OLD = ("ok", "worn", "broken")


def parsed(names: list[str], *class_map: dict[str, object]) -> Classification:
    given = {"classNames": names, "classMap": list(class_map)}
    found = Reader("EdgeModel press", "spec", given).parsed(lambda read: task.task(read, "Classification"))
    assert isinstance(found, Classification)
    return found


@pytest.mark.parametrize(
    ("names", "entry", "meanings"),
    [
        pytest.param(["ok", "used", "broken"], {"to": {"worn": "used"}}, (0, 1, 2), id="a class is renamed"),
        pytest.param(["broken", "ok", "worn"], {}, (1, 2, 0), id="the order changes and names keep their meaning"),
        pytest.param(
            ["ok", "broken", "worn"],
            {"to": {"worn": "broken", "broken": "worn"}},
            (0, 1, 2),
            id="two names are swapped and indices keep their meaning",
        ),
        pytest.param(["ok", "broken"], {"removed": ["worn"]}, (0, GONE, 1), id="a class is removed"),
        pytest.param(["ok", "bad"], {"to": {"worn": "bad", "broken": "bad"}}, (0, 1, 1), id="two classes are merged"),
        pytest.param(["ok", "broken"], {"to": {"worn": "broken"}}, (0, 1, 1), id="one is merged into another"),
    ],
)
def test_an_index_of_the_former_classes_means_what_the_map_says(
    names: list[str], entry: dict[str, object], meanings: tuple[int, ...]
) -> None:
    answered = parsed(names, {"from": list(OLD), **entry})
    assert answered.meanings(label_map.digest(OLD)) == meanings
    assert answered.meanings(label_map.digest(OLD[:2])) == meanings[:2], "a map grows: its beginning counts the same"
    assert answered.meanings(answered.digest) == tuple(range(len(names)))
    assert answered.meanings(label_map.digest(("cat", "dog"))) is None


def test_a_chain_of_two_maps_is_followed_to_its_end() -> None:
    first = {"from": list(OLD), "to": {"worn": "used"}}
    second = {"from": ["ok", "used", "broken", "bent"], "to": {"broken": "bad", "bent": "bad"}, "removed": ["ok"]}
    answered = parsed(["bad", "used"], first, second)
    assert answered.meanings(label_map.digest(OLD)) == (GONE, 1, 0)
    assert answered.meanings(label_map.digest(("ok", "used", "broken", "bent"))) == (GONE, 1, 0, 0)
    assert parsed(["bad", "used"], *(entry.to_json() for entry in answered.former)) == answered


@pytest.mark.parametrize(
    ("names", "entries", "says"),
    [
        pytest.param(
            ["ok", "bad"], [{"from": list(OLD)}], "does not say what became of 'worn'", id="a class forgotten"
        ),
        pytest.param(["ok", "bad"], [{"from": ["ok", "ok"]}], "names 'ok' twice", id="a name twice"),
        pytest.param(
            ["ok", "bad"],
            [{"from": list(OLD), "to": {"worn": "bad", "broken": "lost"}}],
            "not in classNames",
            id="nowhere",
        ),
        pytest.param(
            ["ok", "bad"],
            [{"from": ["ok", "bad"], "to": {"good": "ok"}}],
            "which is not in its from",
            id="from nothing",
        ),
        pytest.param(
            ["ok", "bad"],
            [{"from": ["ok", "worn"], "to": {"worn": "bad"}, "removed": ["worn"]}],
            "both renames and removes",
            id="renamed and removed",
        ),
        pytest.param(
            ["a", "b"], [{"from": ["c", "d"], "removed": ["c", "d"]}], "keeps no class at all", id="none kept"
        ),
        pytest.param(
            ["a", "b"],
            [{"from": ["a", "b"], "to": {"a": "b", "b": "a"}}],
            "can be read in two ways",
            id="a circle of one step",
        ),
        pytest.param(
            ["a", "b"],
            [{"from": ["a", "b"], "to": {"b": "c"}}, {"from": ["a", "c"], "to": {"c": "a", "a": "b"}}],
            "leads in a circle",
            id="a circle of two steps",
        ),
        pytest.param(["a", "b"], [{"from": ["a"], "to": {"a": 3}}], "must be the name of a class", id="no text"),
        pytest.param(["a", "b"], [{"from": ["a"], "into": {}}], "into", id="an unknown field"),
    ],
)
def test_a_map_that_cannot_be_followed_is_refused_and_says_where(
    names: list[str], entries: list[dict[str, object]], says: str
) -> None:
    with pytest.raises(errors.InputError, match=r"classMap\[\d\].*") as refused:
        parsed(names, *entries)
    assert says in str(refused.value)


def test_going_back_is_no_circle_while_every_name_keeps_its_meaning() -> None:
    there = {"from": list(OLD)}
    back = {"from": ["broken", "ok", "worn"]}
    assert parsed(list(OLD), there, back).meanings(label_map.digest(("broken", "ok", "worn"))) == (2, 0, 1)


def test_a_forecast_has_no_classes_to_map() -> None:
    given = {"task": "Forecast", "classMap": [], "forecast": {"target": "flow", "unit": "veh/h", "stepSeconds": 3600}}
    with pytest.raises(errors.InputError, match="classMap is of classes"):
        Reader("EdgeModel flow", "spec", given).parsed(lambda read: task.task(read))


@pytest.mark.parametrize(
    ("after", "entries", "fault"),
    [
        pytest.param(("broken", "ok", "worn"), (), "class 0 was 'ok'", id="another order without a map"),
        pytest.param(("broken", "ok", "worn"), (FormerClasses(OLD),), "", id="another order with a map"),
        pytest.param((*OLD, "bent"), (), "", id="appended to: no map is needed"),
        pytest.param(
            ("ok", "bad"), (FormerClasses(("ok", "worn")),), "from must be the classes before", id="another from"
        ),
    ],
)
def test_a_change_needs_a_map_from_the_classes_before_it(
    after: tuple[str, ...], entries: class_maps.Former, fault: str
) -> None:
    said = class_maps.change_fault(((), OLD), (entries, after))
    assert (fault in said) if fault else not said


def test_an_entry_stays_once_it_was_made() -> None:
    before = ((FormerClasses(OLD),), ("broken", "ok", "worn"))
    assert "entries of classMap stay" in class_maps.change_fault(before, ((), ("broken", "ok", "worn")))


def test_a_version_that_brings_a_map_of_its_own_is_not_of_the_model() -> None:
    model = parsed(["broken", "ok", "worn"], {"from": list(OLD)})
    forged = parsed(["broken", "ok", "worn"], {"from": list(OLD), "to": {"ok": "worn", "worn": "ok"}})
    assert "classMap" in model.difference(forged) and not model.difference(model)
    assert not Classification(OLD).change(model) and Classification(OLD).change(Classification(model.class_names))
