"""The page of metrics: every counter, gauge and histogram that a module of skerry makes, from its source.

A name must be a literal: what is composed while a process runs could not be looked up.
"""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import markdown

import skerry

ROOT = Path(skerry.__path__[0])
KINDS = {"counter": "counter", "gauge": "gauge", "histogram": "histogram", "total": "counter"}  # by method
# Who shows what a shared library counts.
SHOWN_BY = {"serving": "agent, teacher"}
# Adds the numbers that all of them have, and is no user of them.
SKIPPED = {"adapters"}


@dataclass(frozen=True, slots=True, order=True)
class Family:
    """One metric of one package."""

    package: str
    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def page() -> str:
    by_package: dict[str, list[Family]] = defaultdict(list)
    for family in sorted(set(families())):
        by_package[family.package].append(family)
    parts = []
    for package, found in by_package.items():
        rows = [(f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.text) for one in found]
        shown = SHOWN_BY.get(package, package)
        parts.append(f"## {shown}\n\n{markdown.table(('metric', 'kind', 'labels', 'meaning'), rows)}")
    return "\n".join(parts)


def families() -> Iterator[Family]:
    """Every metric, also those that a process makes only when it needs them."""
    for path in sorted(ROOT.rglob("*.py")):
        package = path.relative_to(ROOT).parts[0]
        if package in SKIPPED:
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (kind := _kind(node)):
                yield _family(path, package, kind, node)


def _kind(node: ast.Call) -> str:
    """`metrics.gauge(name, text, …)`; a call with fewer arguments is something else."""
    if isinstance(node.func, ast.Attribute) and node.func.attr in KINDS and len(node.args) >= 2:
        return KINDS[node.func.attr]
    return ""


def _family(path: Path, package: str, kind: str, node: ast.Call) -> Family:
    given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "labels")]
    name, text = (one.value if isinstance(one, ast.Constant) else None for one in given[:2])
    if not isinstance(name, str) or not isinstance(text, str):
        raise SystemExit(f"{path.name}:{node.lineno}: name and text of a metric must be written out, to be looked up")
    labels = _labels(path, given[2]) if len(given) > 2 else ()
    return Family(package, name, kind, labels, markdown.sentence(text))


def _labels(path: Path, node: ast.expr) -> tuple[str, ...]:
    """A tuple of texts, or the name of one in the same module."""
    if isinstance(node, ast.Name):
        module = ".".join(("skerry", *path.relative_to(ROOT).with_suffix("").parts))
        return tuple(getattr(importlib.import_module(module), node.id))
    return tuple(ast.literal_eval(node))
