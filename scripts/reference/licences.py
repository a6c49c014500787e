"""The page of licences: what the images and the wheel bring of others, by what the distributions say of themselves.

A licence that is unknown, or not among the permitted ones, ends the run: somebody has to look at it first.
"""

import importlib.metadata
import re
import sys
from pathlib import Path

import markdown

_ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(_ROOT / "scripts" / "lock"))
import closure  # noqa: E402

_USES = {
    "agent": ["[agent]"],
    "cloud": ["[gateway,curator,controller,dashboard,cli,s3]"],
    "trainer": ["[trainer]"],
    "make setup": ["[all]"],
}
# Permissive ones: they ask for their text and names to be kept, and nothing of who uses or changes skerry.
_PERMITTED = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
    *("ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
}
# What was written before there were expressions of SPDX.
_SPELLINGS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
}
# Read in their sources: they are not installed here, or say nothing.
_LOOKED_UP = {"async-timeout": "Apache-2.0", "torchao": "BSD-3-Clause"}


def page() -> str:
    pinned = closure.pins(_ROOT / "constraints.txt")
    used = {use: closure.of(roots, _ROOT / "pyproject.toml", pinned) for use, roots in _USES.items()}
    used["trainer"].add("torch")
    used["make setup"].add("torch")
    rows = [
        (f"`{name}`", pinned[name], _licence(name), ", ".join(use for use, names in used.items() if name in names))
        for name in sorted(set().union(*used.values()))
    ]
    return markdown.table(("Distribution", "Version", "Licence", "In"), rows)


def _licence(name: str) -> str:
    """As an expression of SPDX. Raises SystemExit for one that is unknown or not permitted."""
    said = _LOOKED_UP.get(name) or _said(name)
    parts = [option.strip("() ") for clause in said.split(" AND ") for option in _chosen(clause)]
    if not said or any(part not in _PERMITTED for part in parts):
        raise SystemExit(f"the licence of {name} is {said or 'unknown'}: look at it, then name it in {__file__}")
    return said


def _chosen(clause: str) -> list[str]:
    """The licence of `A OR B` that is taken: the first permitted one, or all where none is."""
    options = [option.strip("() ") for option in clause.split(" OR ")]
    return [option for option in options if option in _PERMITTED][:1] or options


def _said(name: str) -> str:
    metadata = importlib.metadata.metadata(name)
    if expression := metadata.get("License-Expression"):
        return str(expression)
    text = str(metadata.get("License") or "").strip()
    if re.sub(" ", "-", text) in _PERMITTED:
        return re.sub(" ", "-", text)
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    spelled = [_SPELLINGS.get(line, line) for line in classifiers] or [_SPELLINGS.get(text, text)]
    return " OR ".join(sorted(set(spelled)))
