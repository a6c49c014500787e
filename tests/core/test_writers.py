"""Every field has one writer: a manager that is not it is refused, and the table in the documentation is the table."""

import pathlib

import pytest

from skerry.core import errors, writers


@pytest.mark.parametrize(
    ("kind", "manager", "patch"),
    [
        pytest.param("ModelRollout", "operator", {"spec": {"paused": True}}, id="a person pauses a rollout"),
        pytest.param("ModelRollout", "controller", {"status": {"wave": 1}}, id="the controller steps a rollout"),
        pytest.param("EdgeNode", "controller", {"spec": {"assignments": []}}, id="the controller assigns"),
        pytest.param("EdgeNode", "operator", {"spec": {"cordoned": True}}, id="a person cordons a node"),
        pytest.param("EdgeNode", "gateway", {"status": {"models": []}}, id="the gateway writes what a node reports"),
    ],
)
def test_the_one_writer_may_write(kind: str, manager: str, patch: dict) -> None:
    writers.check_patch(kind, manager, patch)


@pytest.mark.parametrize(
    ("kind", "manager", "patch"),
    [
        pytest.param("ModelRollout", "controller", {"spec": {"paused": True}}, id="the controller never writes intent"),
        pytest.param("ModelRollout", "operator", {"status": {"wave": 1}}, id="a person never writes outcome"),
        pytest.param("EdgeNode", "operator", {"spec": {"assignments": []}}, id="a person never assigns"),
        pytest.param(
            "EdgeNode", "controller", {"spec": {"assignments": [], "cordoned": True}}, id="one bad field is enough"
        ),
        pytest.param("EdgeNode", "controller", {"spec": None}, id="clearing the whole spec touches every field"),
        pytest.param("EdgeNode", "controller", {"status": {"models": []}}, id="nobody claims a version for a node"),
    ],
)
def test_everybody_else_is_refused(kind: str, manager: str, patch: dict) -> None:
    with pytest.raises(errors.RejectedError, match=kind):
        writers.check_patch(kind, manager, patch)


def test_the_documentation_shows_the_same_writers() -> None:
    text = (pathlib.Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md").read_text()
    rows = {cells[1].strip(): cells[2:4] for line in text.splitlines() if len(cells := line.split("|")) == 5}
    for (kind, path), manager in writers.WRITERS.items():
        spec, status = rows[kind]
        cell = spec if path.startswith("spec") else status
        assert manager in cell, f"docs/explanation/architecture.md: {kind} {path} is written by {manager}"
