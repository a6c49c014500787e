"""The page of commands: what `--help` says of each, from click itself."""

import inspect
from collections.abc import Iterator

import markdown
import settings
from click import Argument, Command, Context, Group

from skerry.cli import last_resort, lazy
from skerry.cli import main as cli


def page() -> str:
    every = list(settings.commands(cli.main))
    parts = [_exit_codes(), _overview(every)]
    for words, command in every:
        if not isinstance(command, Group) or command.invoke_without_command:
            parts.append("\n".join(_section(words, command)))
    return "\n".join(parts)


def _overview(every: list[tuple[tuple[str, ...], Command]]) -> str:
    rows = [
        (f"[`{' '.join(words)}`](#{'-'.join(words)})", markdown.sentence(_help(command).split("\n\n")[0]))
        for words, command in every
        if not isinstance(command, Group) or command.invoke_without_command
    ]
    return markdown.table(("command", "what it does"), rows)


def _exit_codes() -> str:
    rows = [("0", "Done."), ("1", "The command itself says no: what it checked or waited for did not come out well.")]
    for family, code in lazy.EXIT_CODES:
        rows.append((str(code), markdown.sentence((inspect.getdoc(family) or family.__name__).split("\n\n")[0])))
    rows.append((str(last_resort.EXIT_CODE), "A bug of skerry: the message names the file with what to report."))
    return "## Exit codes\n\n" + markdown.table(("code", "meaning"), rows)


def _section(words: tuple[str, ...], command: Command) -> Iterator[str]:
    context = _context(words, command)
    yield f"## {' '.join(words)}\n"
    yield f"    {' '.join(words)} {' '.join(command.collect_usage_pieces(context))}\n"
    yield f"{_help(command)}\n"
    rows = []
    for parameter in command.get_params(context):
        record = None if isinstance(parameter, Argument) else parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            rows.append((markdown.code(record[0]), record[1]))
    if rows:
        yield markdown.table(("option", "meaning"), rows)


def _context(words: tuple[str, ...], command: Command) -> Context:
    context = None
    for word in words[:-1]:
        context = Context(cli.main, info_name=word, parent=context)
    return Context(command, info_name=words[-1], parent=context, max_content_width=120)


def _help(command: Command) -> str:
    """A paragraph that click is told not to wrap is shown as it stands."""
    paragraphs = inspect.cleandoc(command.help or "").partition("\f")[0].strip().split("\n\n")
    return "\n\n".join(_as_it_stands(one) if one.startswith("\b") else one for one in paragraphs)


def _as_it_stands(paragraph: str) -> str:
    return "\n".join(f"    {line}" for line in paragraph.splitlines()[1:])
