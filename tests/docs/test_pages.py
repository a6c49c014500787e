"""The documentation as a whole: no link leads nowhere, every page can be found, generated pages are fresh."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import custom_resources
import pytest
from custom_resources import Json

ROOT = custom_resources.ROOT
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def _links(page: Path) -> Iterator[tuple[str, str]]:
    """(path, anchor) of every link that stays in this repository; code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)
    yield from ((path, anchor[1:]) for path, anchor in _LINK.findall(text) if "://" not in path)


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for path, anchor in _links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in _anchors(target), f"{page.name} links to {path}#{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for path, _ in _links(page):
            target = (page.parent / path).resolve()
            waiting += sorted(target.glob("*.md")) if target.is_dir() and target.name == "adr" else [target]
        waiting = [one for one in waiting if one.suffix == ".md"]
    assert {str(one.relative_to(ROOT)) for one in PAGES if one not in seen} <= {"README.md"}


def test_the_reference_is_what_the_code_says() -> None:
    checked = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _fields(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    for name, one in schema.get("properties", {}).items():
        yield f"{path}.{name}", one
        if name != "conditions":
            yield from _fields(one["items"] if one.get("type") == "array" else one, f"{path}.{name}")


@pytest.mark.parametrize("kind", sorted(custom_resources.crds()))
def test_every_field_of_a_custom_resource_says_what_it_is(kind: str) -> None:
    schema = custom_resources.crds()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = [(path, one) for part in ("spec", "status") for path, one in _fields(schema["properties"][part], part)]
    assert [path for path, one in fields if not one.get("description")] == []
