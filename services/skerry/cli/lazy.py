"""A click group that imports a command's module only when that command runs, so that `--help` answers at once."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from skerry.cli import last_resort, output
from skerry.core import errors

# Exit codes by who must act; 1 is left to what a command itself reports (`skerry demo`), 2 is also click's own, 70 is a
# bug of skerry (`last_resort`).
EXIT_CODES: tuple[tuple[type[errors.SkerryError], int], ...] = (
    (errors.InputError, 2),
    (errors.RejectedError, 3),
    (errors.UnavailableError, 4),
    (errors.IntegrityError, 5),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """`target` is `module:attribute` of a click command; `help` its first sentence, shown without importing it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """Commands by name. An error becomes one message and an exit code, never a traceback."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except errors.SkerryError as exc:
            output.say_error(str(exc))
            ctx.exit(exit_code(exc))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as exc:
            if last_resort.is_closed_pipe(exc):
                raise
            text, code = last_resort.explain(exc)
            output.say_error(text)
            ctx.exit(code)


def exit_code(error: errors.SkerryError) -> int:
    """2 the caller must change something, 3 a policy said no, 4 try again later, 5 something is damaged."""
    return next((code for family, code in EXIT_CODES if isinstance(error, family)), 1)
