"""Every block of commands in the documentation is played by a test, or the table says why it cannot be."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import doc_blocks
import pytest
from doc_table import CLUSTER, HERE, NODE, SAME, TABLE

LANGUAGES = {"sh", "python", "yaml", "promql", "text", "mermaid"}
OPERATIONS, TROUBLE = "docs/how-to/operations.md", "docs/how-to/when-something-is-wrong.md"
FIRST_MODEL = "docs/start/first-model.md"


@pytest.mark.parametrize("page", doc_blocks.pages())
def test_every_block_of_commands_is_in_the_table_in_its_order(page: str) -> None:
    commands = [block.lines[0] for block in doc_blocks.blocks(page) if block.language == "sh"]
    begun = [begin for begin, _ in TABLE.get(page, [])]
    assert [line[: len(begin)] for line, begin in zip(commands, begun, strict=True)] == begun


def test_the_table_speaks_of_pages_that_exist_and_says_how_or_why_not() -> None:
    assert set(TABLE) <= set(doc_blocks.pages())
    for page, rows in TABLE.items():
        for first, how in rows:
            assert how in (HERE, CLUSTER, NODE, SAME) or len(how.split()) > 3, f"{page}: {first}: {how!r} is no reason"


def test_what_is_said_to_be_the_same_is_the_same() -> None:
    readme = {line for block, how in doc_blocks.table("README.md") if how == CLUSTER for line in block.lines}
    for page in TABLE:
        for block, how in doc_blocks.table(page):
            assert how != SAME or set(block.lines) <= readme, f"{page}:{block.line}"


@pytest.mark.parametrize("page", doc_blocks.pages())
def test_every_block_says_what_language_it_is(page: str) -> None:
    pictures = {"docs/explanation/architecture.md"}
    languages = {block.language for block in doc_blocks.blocks(page)}
    assert languages <= LANGUAGES | ({""} if page in pictures else set())
    assert doc_blocks.indented(page) == [], "commands stand in fences, where a test finds them"


class Reader:
    """A person with the checkout's environment and a folder of his own, who types what a page shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "SKERRY_STATE_DIR": ".skerry",
        }

    def types(self, page: str, *, but: str = "") -> str:
        """The blocks of `page` that are played here, without the one that begins with `but`."""
        shown = [block for block, how in doc_blocks.table(page) if how == HERE and block.lines[0] != but]
        return doc_blocks.typed(shown, self.folder, self._environment, 400, self._logs)

    def ends(self) -> None:
        last = doc_blocks.Block("the end", 0, "sh", "skerry down")
        doc_blocks.typed([last], self.folder, self._environment, 60)

    def _logs(self) -> str:
        logs = sorted((self.folder / ".skerry" / "logs").glob("*.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text(errors='replace')[-800:]}" for log in logs)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    doc_blocks.write_files(FIRST_MODEL, tmp_path)
    yield made
    made.ends()


@pytest.mark.long
def test_a_reader_follows_the_first_model_then_looks_for_trouble_and_backs_up(reader: Reader) -> None:
    said = reader.types(FIRST_MODEL, but="skerry down")
    assert "fault-v1 is signed" in said
    assert "press-v1 passed its gates and is published" in said
    assert "recorded: request part-17 is broken" in said
    assert "press-v1" in reader.types(TROUBLE)
    assert "restored" in reader.types(OPERATIONS)


@pytest.mark.long
def test_a_reader_follows_the_readme(reader: Reader) -> None:
    for program in ("toy.py", "readings.py"):  # in place of his own network and data
        subprocess.run([sys.executable, program], cwd=reader.folder, check=True)
    doc_blocks.write_files("README.md", reader.folder)
    said = reader.types("README.md")
    assert "promote of fault-v1-auto is requested" in said
    assert "recorded: request part-17 is broken" in said
