"""Which distributions an extra needs, on any Python and machine that skerry runs on: by what the installed ones say of
themselves."""

import importlib.metadata
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

LEFT_OUT = frozenset({"torch"})
_MACHINES = ("x86_64", "aarch64")
_PYTHONS = ("3.11.2", "3.11.9", "3.12.9", "3.13.9", "3.14.1")
ENVIRONMENTS = [
    {"python_full_version": full, "python_version": ".".join(full.split(".")[:2]), "platform_machine": machine}
    for full, machine in itertools.product(_PYTHONS, _MACHINES)
]


def pins(constraints: Path) -> dict[str, str]:
    """Distribution → version."""
    lines = [line.split("==") for line in constraints.read_text().splitlines() if "==" in line]
    return {canonical(name): version for name, version in lines}


def of(roots: Iterable[str], pyproject: Path, pinned: Mapping[str, str]) -> set[str]:
    """`roots`: `[extra,extra]` of the project, `group:name` of it, or the names of distributions. Raises SystemExit
    for what is not pinned."""
    project = tomllib.loads(pyproject.read_text())
    todo = [need for root in roots for need in _roots(root, project)]
    found: set[tuple[str, frozenset[str]]] = set()
    while todo:
        need = todo.pop()
        key = (canonical(need.name), frozenset(need.extras))
        if key in found:
            continue
        found.add(key)
        if key[0] not in LEFT_OUT and key[0] not in pinned:
            raise SystemExit(f"{key[0]} is not in constraints.txt: pin it")
        todo.extend(_needs(key[0], need.extras or {""}))
    return {name for name, _ in found} - LEFT_OUT


def _roots(root: str, project: Mapping[str, Any]) -> list[Requirement]:
    own, extras = "skerry", project["project"]["optional-dependencies"]
    if root.startswith("group:"):
        return [Requirement(text) for text in project["dependency-groups"][root.removeprefix("group:")]]
    if not root.startswith("["):
        return [Requirement(root)]
    texts = [*project["project"]["dependencies"], *(t for extra in root.strip("[]").split(",") for t in extras[extra])]
    needs = [Requirement(text) for text in texts]
    inner = [extra for need in needs if need.name == own for extra in need.extras]
    return [need for need in needs if need.name != own] + (_roots(f"[{','.join(inner)}]", project) if inner else [])


def _needs(name: str, extras: Iterable[str]) -> list[Requirement]:
    try:
        texts = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []  # it is for another Python than this one, and has no needs of its own, or it needs nothing (uv)
    needs = [Requirement(text) for text in texts]
    return [need for need in needs if need.marker is None or _holds(need, extras)]


def _holds(need: Requirement, extras: Iterable[str]) -> bool:
    marker = need.marker
    assert marker is not None
    return any(marker.evaluate({**one, "extra": extra}) for one in ENVIRONMENTS for extra in extras)
