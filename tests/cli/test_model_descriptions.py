"""`skerry models apply` and `list`: a description is checked as a whole before anything is written."""

import json
from pathlib import Path

import pytest
import seeded_fleet
from cli_system import StillSystem

NOW = 1_790_000_000_000


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


PRESS = """
name: press
spec:
  classNames: [ok, worn]
  input: {name: window, datatype: FP32, shape: [32, 4]}
"""


def test_a_description_creates_then_changes_then_leaves_alone(system: StillSystem, tmp_path: Path) -> None:
    path = tmp_path / "press.yaml"
    path.write_text(PRESS)
    assert "created" in system.good("models", "apply", path)
    path.write_text(PRESS + "  retrain: {epochs: 3}\n")
    assert "changed" in system.good("models", "apply", path)
    assert "unchanged" in system.good("models", "apply", path)
    spec = system.objects.get("EdgeModel", "press").spec
    assert (spec["retrain"], spec["classNames"]) == ({"epochs": 3}, ["ok", "worn"])


RESOURCE = "apiVersion: skerry.dev/v1alpha1\nkind: EdgeModel\n" + PRESS.replace(
    "name: press", "metadata: {name: press}"
)


def test_a_resource_for_kubectl_is_a_description_too(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "press.yaml").write_text(RESOURCE)
    assert "created" in system.good("models", "apply", tmp_path / "press.yaml")
    (tmp_path / "same.yaml").write_text(PRESS)
    assert "unchanged" in system.good("models", "apply", tmp_path / "same.yaml")


def test_what_a_file_does_not_name_keeps_its_value(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model(datasetDigest="sha256:" + "0" * 64)
    (tmp_path / "more.json").write_text(json.dumps({"name": "press", "spec": {"retention": 5}}))
    system.good("models", "apply", tmp_path / "more.json")
    spec = system.objects.get("EdgeModel", "press").spec
    assert (spec["retention"], spec["datasetDigest"]) == (5, "sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(PRESS + "  retrain: {epoch: 3}\n", "did you mean epochs", id="a typo names what was meant"),
        pytest.param(PRESS.replace("classNames", "clasNames"), "classNames", id="a typo in what is needed names it"),
        pytest.param(PRESS + "  retrain: {epochs: many}\n", "spec.retrain.epochs", id="a wrong type names the field"),
        pytest.param(PRESS.replace("[ok, worn]", "[ok]"), "classNames", id="one class only"),
        pytest.param(PRESS.replace("name: press", "name: Press Nr. 1"), "lower-case", id="a name that is none"),
        pytest.param(PRESS.replace("name: press\n", ""), "`name`", id="no name"),
        pytest.param("name: press\nspce: {}\n", "spce", id="an unknown field beside spec"),
        pytest.param("name: press\nspec: 7\n", "mapping", id="a spec that is a number"),
        pytest.param("kind: EdgeNode\n" + PRESS, "EdgeNode", id="another kind"),
        pytest.param(RESOURCE.replace("v1alpha1", "v2"), "must be skerry.dev/v1alpha1", id="another version"),
        pytest.param(RESOURCE.replace("{name", "{namespace: a, name"), "`name` alone", id="what would be lost"),
        pytest.param(RESOURCE.replace("metadata: {name: press}", ""), "metadata must hold", id="no metadata"),
        pytest.param("{" * 3000, "YAML", id="no YAML"),
        pytest.param("!!python/object/apply:os.system ['true']", "YAML", id="YAML never runs anything"),
        pytest.param("", "`name`", id="an empty file"),
    ],
)
def test_a_description_with_a_mistake_changes_nothing(
    system: StillSystem, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "press.yaml"
    path.write_text(text)
    assert said in system.bad(2, "models", "apply", path)
    assert not system.objects.list("EdgeModel")


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"name": "press"}', '{"name": 7, "spec": {}}'])
def test_a_json_description_with_a_mistake_changes_nothing(system: StillSystem, tmp_path: Path, text: str) -> None:
    (tmp_path / "press.json").write_text(text)
    system.bad(2, "models", "apply", tmp_path / "press.json")
    assert not system.objects.list("EdgeModel")


@pytest.mark.parametrize("words", [("models",), ("models", "list")])
def test_models_are_listed_with_where_they_serve(system: StillSystem, words: tuple[str, ...]) -> None:
    seeded_fleet.seed(system.objects, NOW)
    rows = json.loads(system.good(*words, "--json"))
    assert [(row["version"], row["stable"], row["nodes"]) for row in rows] == [
        ("digits-v1", False, []),
        ("digits-v2", True, ["edge-2", "edge-3", "edge-4"]),
        ("digits-v3", False, ["edge-1"]),
    ]
    shown = system.good(*words)
    assert "stable" in shown
    assert "edge-2, edge-3, edge-4" in shown


def test_no_model_says_what_to_do_next(system: StillSystem) -> None:
    assert "skerry models apply" in system.good("models")
    assert json.loads(system.good("models", "--json")) == []
