"""Changing a model's classes: refused with the entry to add, taken with it, and named as the version counts."""

from pathlib import Path

import manifests
import pytest
from cli_system import StillSystem

from skerry.adapters import blobs
from skerry.cli import answering_task
from skerry.core import errors, specs
from skerry.core.tasks import Classification

DESCRIBED = """
name: press
spec:
  classNames: [{names}]
  input: {{name: window, datatype: FP32, shape: [4, 2]}}
"""


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    apply(still, tmp_path, "ok, worn, broken")
    return still


def written(folder: Path, names: str, more: str = "") -> Path:
    path = folder / "press.yaml"
    path.write_text(DESCRIBED.format(names=names) + more)
    return path


def apply(system: StillSystem, folder: Path, names: str, more: str = "") -> None:
    system.good("models", "apply", written(folder, names, more))


def test_a_change_without_a_map_is_refused_and_shows_the_entry_to_add(system: StillSystem, tmp_path: Path) -> None:
    said = system.bad(2, "models", "apply", written(tmp_path, "ok, bad"))
    assert "class 1 was 'worn' and would be 'bad'" in said
    assert '- from: ["ok", "worn", "broken"]' in said and 'removed: ["worn", "broken"]' in said


def test_the_entry_that_is_shown_is_taken_as_it_stands(system: StillSystem, tmp_path: Path) -> None:
    said = system.bad(2, "models", "apply", written(tmp_path, "broken, ok"))
    shown = said[said.index("classMap:") :].replace("\n  ", "\n")
    apply(system, tmp_path, "broken, ok", "".join(f"  {line}\n" for line in shown.splitlines()))
    task = specs.parse_edge_model("press", system.objects.get("EdgeModel", "press").spec).task
    assert task.meanings(Classification(("ok", "worn", "broken")).digest) == (1, -1, 0)


def test_a_second_change_adds_a_second_entry(system: StillSystem, tmp_path: Path) -> None:
    first = "  classMap:\n  - {from: [ok, worn, broken], removed: [worn]}\n"
    apply(system, tmp_path, "broken, ok", first)
    said = system.bad(2, "models", "apply", written(tmp_path, "bad, ok", first))
    assert '- from: ["broken", "ok"]' in said and "after the 1 that are there" in said
    apply(system, tmp_path, "bad, ok", first + "  - {from: [broken, ok], to: {broken: bad}}\n")
    task = specs.parse_edge_model("press", system.objects.get("EdgeModel", "press").spec).task
    assert task.meanings(Classification(("ok", "worn", "broken")).digest) == (1, -1, 0)


def test_an_entry_that_was_made_is_not_changed(system: StillSystem, tmp_path: Path) -> None:
    apply(system, tmp_path, "broken, ok", "  classMap:\n  - {from: [ok, worn, broken], removed: [worn]}\n")
    other = "  classMap:\n  - {from: [ok, worn, broken], to: {worn: ok}}\n"
    assert "entries of classMap stay" in system.bad(2, "models", "apply", written(tmp_path, "broken, ok", other))


def test_an_older_version_is_told_in_its_own_class_names_until_the_new_one_serves(
    system: StillSystem, tmp_path: Path
) -> None:
    apply(system, tmp_path, "broken, ok", "  classMap:\n  - {from: [ok, worn, broken], removed: [worn]}\n")
    described = specs.parse_edge_model("press", system.objects.get("EdgeModel", "press").spec).task
    old = manifests.digits(model="press", task=Classification(("ok", "worn", "broken")))
    digest = blobs.put(system.blobs, old.to_json())
    assert answering_task.task_of(system.description, described, digest).class_names == ("ok", "worn", "broken")
    with pytest.raises(errors.UnavailableError, match="cannot be named"):
        answering_task.task_of(system.description, described, "sha256:" + "0" * 64)
