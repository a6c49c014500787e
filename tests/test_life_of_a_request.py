"""docs/explanation/life-of-a-request.md names files, functions and phases: they are those of the code."""

import ast
import re
from pathlib import Path

import pytest

from skerry.rpc.h2.phase import TRANSITIONS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "life-of-a-request.md").read_text()
STEPS = re.findall(r"^\| (\d+) \| `([^`]+)` \| ([^|]+) \|", PAGE, re.MULTILINE)


def test_the_steps_are_counted_through() -> None:
    assert [int(number) for number, _, _ in STEPS] == list(range(1, len(STEPS) + 1)) and len(STEPS) > 10


@pytest.mark.parametrize(("number", "file", "functions"), STEPS)
def test_each_step_is_where_the_page_says(number: str, file: str, functions: str) -> None:
    tree = ast.parse((ROOT / "services" / "skerry" / file).read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    named = set(re.findall(r"`(\w+)`", functions))
    assert named and named <= defined, f"step {number}"


def test_the_diagram_is_the_table_of_phases() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", PAGE, re.MULTILINE)
    assert drawn == [
        (phase.name, after.name, event.value) for phase, row in TRANSITIONS.items() for event, after in row.items()
    ]
