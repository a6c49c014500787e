"""How commands show things: rich tables for people, one JSON document for programs, times as ages."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
DASH = "–"
_FILE_WIDTH = 400


def show(as_json: bool, rows: Sequence[Any], table: Callable[[Sequence[Any]], None], empty: str) -> None:
    """Print `rows` as JSON, or by `table`, or say `empty` when there are none."""
    if as_json:
        print_json(rows)
    elif rows:
        table(rows)
    else:
        say(empty)


def say(text: str, *, err: bool = False) -> None:
    """Print one line, on standard error with `err`. Much of what commands tell was written by nodes."""
    click.echo(printable(text), err=err)  # noqa: TID251 - the one place


def say_error(text: str) -> None:
    """Print an error. What follows its first line (the end of a log) is set back: nobody can forge a line of ours."""
    for number, line in enumerate(text.split("\n")):
        say(f"  {line}" if number else f"skerry: {line}", err=True)


def printable(text: str) -> str:
    """`text` on one line, and without what a terminal would obey instead of show: control characters, reversed reading
    order and lone surrogates stand there as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_json(value: Any, *, err: bool = False) -> None:
    click.echo(json.dumps(value, indent=2, allow_nan=False), err=err)  # noqa: TID251 - JSON escapes by itself


def print_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as wide as the terminal, or as it needs when it goes to a file; cells are plain text, never markup. The
    first column holds names that people copy: it is never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        *heads, title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max((len(str(cell)) for cell in table.columns[0].cells), default=0)
    console = Console()
    (console if console.is_terminal else Console(width=_FILE_WIDTH)).print(table, crop=False)


def styled(text: str, style: str) -> Any:
    """A cell in color; the words say it as well."""
    from rich.text import Text

    return Text(printable(text), style=style)


def age(milliseconds: int | None, now_unix_ms: int) -> str:
    """How long ago a moment was: `now`, `12s`, `3m`, `5h`, `2d`; a dash for none. A clock ahead shows `now`."""
    if not milliseconds:
        return DASH
    seconds = max(0, now_unix_ms - milliseconds) // 1000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "now"


def size(count: int | None) -> str:
    """`61 KiB`."""
    if not count:
        return DASH
    power = min(4, int(math.log(max(count, 1), 1024)))
    return f"{count / 1024**power:.{0 if power < 2 else 1}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def short(digest: str | None) -> str:
    """The first 12 hex digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:12] or DASH
