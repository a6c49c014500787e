"""Every command in docs/how-to/operations.md exists, with the options that it is shown with."""

import re
import shlex
from pathlib import Path

import click
import pytest

from skerry.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "operations.md").read_text()
# In prose between backticks, in examples up to a comment, a pipe, a redirection or the next command.
SHOWN = sorted({one.strip() for one in re.findall(r"(?:^|[`\s])skerry ([a-z][^`#|>;\n]*)", TEXT, re.M)})
COMMANDS = [one for one in SHOWN if one.split()[0] in main.COMMANDS]


def test_the_document_shows_commands() -> None:
    assert len(COMMANDS) > 15
    assert {"backup", "restore", "keys", "up", "down"} <= {one.split()[0] for one in COMMANDS}


@pytest.mark.parametrize("shown", COMMANDS)
def test_a_command_that_is_shown_exists(shown: str) -> None:
    words, found = shlex.split(shown), main.main
    command: click.Command = found
    while words and isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0].rstrip(",.:"))
        assert inner is not None, f"there is no {words[0]} in {shown}"
        command, words = inner, words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word.split("=")[0].rstrip(",.:)") for word in words if word.startswith("--")} <= known, shown
