"""Every command's `--help` answers at once: it imports nothing that only running the command needs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from skerry.cli import lazy, main
from skerry.core import errors

HEAVY = {
    "obstore",
    "google.protobuf",
    "grpc",
    "mlxtend",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "pyarrow",
    "pydantic",
    "redis",
    "rich",
    "sqlite3",
    "starlette",
    "torch",
    "tuf",
    "yaml",
}
# Runs each list of words and tells after which of them which of the watched modules had been imported.
PROBE = """
import contextlib, io, json, sys
from skerry.cli import main
every, watched = json.loads(sys.argv[1])
for words in every:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main.main(words, prog_name="skerry")
        except SystemExit as end:
            code = end.code
    print(json.dumps([words, code, out.getvalue()[:13], sorted(set(watched) & set(sys.modules))]))
"""


def probe(every: list[tuple[str, ...]], watched: set[str]) -> list[list[Any]]:
    """[words, exit code, first letters of the output, watched modules that are imported by now] of each."""
    asked = json.dumps([every, sorted(watched)])
    done = subprocess.run((sys.executable, "-c", PROBE, asked), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and subcommand, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


EVERY = list(commands(main.main))


@pytest.mark.parametrize("name", ["", *main.COMMANDS])
def test_help_imports_nothing_heavy(name: str) -> None:
    """Of the command and all its subcommands, one after the other in one fresh process."""
    mine = [words for words in EVERY if words[0] == name] or [()]
    for words, code, output, imported in probe([(*words, "--help") for words in mine], HEAVY):
        assert (code, output, imported) == (0, "Usage: skerry", []), words


def test_the_probe_sees_what_a_command_imports() -> None:
    [[_, code, _, imported]] = probe([("models", "list", "--state", "/nonexistent")], HEAVY)
    assert code == 4
    assert "numpy" in imported


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_list_of_commands_says_what_each_does(name: str) -> None:
    command = main.main.get_command(click.Context(main.main), name)
    assert command is not None
    assert command.help or command.callback.__doc__
    assert main.COMMANDS[name].help.endswith(".")
    assert main.COMMANDS[name].help in CliRunner().invoke(main.main, ["--help"]).output


def test_every_command_of_the_readme_exists() -> None:
    said = {" ".join(words) for words in EVERY}
    assert {
        "demo",
        "up",
        "down",
        "infer",
        "feedback",
        "models apply",
        "models import",
        "datasets import",
        "teach",
        "retrain",
        "runs",
        "nodes",
        *(
            f"rollout {action}"
            for action in ("list", "status", "start", "pause", "resume", "abort", "promote", "rollback")
        ),
    } <= said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.InputError("x"), 2, id="the caller must change something"),
        pytest.param(errors.NotFoundError("x"), 2, id="what is named does not exist"),
        pytest.param(errors.TooLargeError("x"), 2, id="a limit"),
        pytest.param(errors.RejectedError("x"), 3, id="a policy said no"),
        pytest.param(errors.ConflictError("x"), 3, id="somebody wrote first"),
        pytest.param(errors.UnavailableError("x"), 4, id="try again later"),
        pytest.param(errors.DeadlineError("x"), 4, id="too late"),
        pytest.param(errors.IntegrityError("x"), 5, id="damage"),
        pytest.param(errors.SkerryError("x"), 1, id="none of these"),
    ],
)
def test_an_error_is_one_message_and_a_code(error: errors.SkerryError, code: int) -> None:
    def fail() -> None:
        raise error

    group = lazy.LazyGroup("skerry", entries={})
    group.get_command = lambda ctx, name: click.Command(name, callback=fail)  # type: ignore[method-assign]
    done = CliRunner().invoke(group, ["anything"])
    assert (done.exit_code, done.stderr, done.stdout) == (code, "skerry: x\n", "")


def test_a_misspelt_command_is_told_and_ends_with_2() -> None:
    done = CliRunner().invoke(main.main, ["modles"])
    assert done.exit_code == 2
    assert "modles" in done.stderr


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main.main, ["--version"]).output.startswith("skerry 0.")
