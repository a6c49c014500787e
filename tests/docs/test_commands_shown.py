"""Every `skerry …` that README and docs show exists, with the options that it is shown with."""

import re
import shlex

import click
import doc_blocks
import pytest

from skerry.cli import main

TEXTS = {page: (doc_blocks.ROOT / page).read_text() for page in doc_blocks.pages()}
# Where a command begins, up to a comment, a pipe, a redirection or the next command.
SHOWN = re.compile(r"(?:^ *|-- |&& |; |\()skerry ([a-z][^#|>;&\n)]*)", re.M)


def _shown() -> list[tuple[str, str]]:
    """(page, words behind `skerry`), of what stands between backticks or in a block of commands."""
    quoted = {page: "\n".join([*re.findall(r"`([^`\n]+)`", text), *_blocks(page)]) for page, text in TEXTS.items()}
    found = {(page, one.strip()) for page, text in quoted.items() for one in SHOWN.findall(text)}
    return sorted((page, words) for page, words in found if words)


def _blocks(page: str) -> list[str]:
    return [block.text.replace("\\\n", " ") for block in doc_blocks.blocks(page) if block.language == "sh"]


def test_the_pages_show_commands() -> None:
    shown = {words.split()[0] for _, words in _shown()}
    assert {"backup", "restore", "keys", "up", "down", "models", "rollout", "nodes"} <= shown


@pytest.mark.parametrize(("page", "words"), _shown())
def test_a_command_that_is_shown_exists(page: str, words: str) -> None:
    left, command = shlex.split(words), main.main
    found: click.Command = command
    while left and isinstance(found, click.Group) and not left[0].startswith(("-", "…")):
        inner = found.get_command(click.Context(found), left[0].rstrip(",.:"))
        if inner is None and "|" in left[0]:
            inner = found.get_command(click.Context(found), left[0].split("|")[0])
        assert inner is not None or found.params, f"{page}: there is no {left[0]} in skerry {words}"
        if inner is None:
            break
        found, left = inner, left[1:]
    known = {name for parameter in found.params for name in parameter.opts} | {"--help", "--json", "--state"}
    options = {word.split("=")[0].rstrip(",.:)") for word in left if word.startswith("--")}
    assert options <= known, f"{page}: skerry {words}"
