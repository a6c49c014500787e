"""Code blocks of the documentation: found, written into files, typed into a shell as a reader would."""

import itertools
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from doc_table import TABLE

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.M | re.S)
_NAMED = re.compile(r"# (\S+\.(?:py|yaml))\n")


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is that of its fence; `language` the word behind it."""

    page: str
    line: int
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.strip().splitlines()

    @property
    def file(self) -> str:
        """The file that its first line says it is; empty: none."""
        named = _NAMED.match(self.text)
        return named[1] if named and self.language in ("python", "yaml") else ""


def pages() -> list[str]:
    """Every page that people follow; those made from code and the decisions have no commands to follow."""
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    names = sorted(str(page.relative_to(ROOT)) for page in found)
    return [name for name in names if not name.startswith(("docs/reference/", "docs/adr/"))]


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text()
    return [Block(page, text.count("\n", 0, one.start()) + 1, one[1], one[2]) for one in _FENCE.finditer(text)]


def indented(page: str) -> list[str]:
    """Lines that Markdown takes for code although they stand in no fence."""
    lines = _FENCE.sub("", (ROOT / page).read_text()).splitlines()
    return [line for before, line in itertools.pairwise(lines) if not before and line.startswith("    ")]


def table(page: str) -> list[tuple[Block, str]]:
    """The blocks of commands of a page, and how each is played."""
    commands = [block for block in blocks(page) if block.language == "sh"]
    return [(block, how) for block, (_, how) in zip(commands, TABLE.get(page, []), strict=True)]


def write_files(page: str, folder: Path) -> None:
    """The files that a page shows, into `folder`."""
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)


# Who is told to try again later (exit code 4) does, for a minute.
_PATIENCE = """
skerry() { local tries=0 code
  while true; do
    code=0; command skerry "$@" || code=$?
    if [ $code != 4 ] || [ $((tries += 1)) -gt 60 ]; then return $code; fi
    sleep 1
  done; }
"""


def typed(
    shown: Iterable[Block],
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    troubles: Callable[[], str] = lambda: "",
) -> str:
    """Type `shown` one after the other into one shell, in `folder`; what came on the screen. A command that fails fails
    the test, with its page and line."""
    script = ["set -e", _PATIENCE]
    for block in shown:
        script += [f"echo '== {block.page}:{block.line}'", block.text]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stdout[-6000:]}\n{troubles()}"
    return done.stdout
