"""`skerry audit`: what people did through skerry, to what, why, and what it came to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skerry.adapters.objects.protocol import Object, Objects
    from skerry.core.audit import Record

_STYLES = {
    "Applied": "green",
    "Refused": "red",
    "Conflict": "red",
    "Failed": "red",
    "Unknown": "yellow",
    "PastSkerry": "yellow",
}
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


def _span_s(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A span of time, as 30m, 12h or 7d; in seconds."""
    if value is None:
        return None
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdecimal() and len(number) <= 5):
        raise click.BadParameter(f"{value!r} must be a number with m, h or d, like 12h", context, parameter)
    return int(number) * _UNITS[unit]


@click.command()
@click.argument("about", default="", metavar="[OBJECT]")
@click.option("--by", default="", help="What this person did.")
@click.option("--action", default="", help="As the record has it: abort, promote, cordon, …")
@click.option("--outcome", type=click.Choice([*_STYLES]), help="What it came to.")
@click.option("--since", "since_s", callback=_span_s, metavar="SPAN", help="Not longer ago than this: 30m, 12h, 7d.")
@click.option(
    "-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, the newest."
)
@output.json_option
@state_option
def audit(
    about: str, by: str, action: str, outcome: str | None, since_s: int | None, limit: int, as_json: bool, state: Path
) -> None:
    """List what people did through skerry, the newest first: who, what, why, and what it came to. OBJECT is a kind
    (ModelRollout), a name (press-v3-auto) or both (ModelRollout/press-v3-auto).

    A record is written before the act. `Unknown` is an act whose outcome nobody wrote down: the command ended in
    between, and it may have happened. Of an object that is named whole, writes past skerry are listed as well
    (`PastSkerry`), by program: who used it, Kubernetes does not say.
    """
    from skerry.cli import object_access
    from skerry.core import audit as records

    now_ms = object_access.now_ms()
    since_ms = 0 if since_s is None else now_ms - since_s * 1000
    store = object_access.store_of(state)
    found = [*_read(store.list(records.KIND)), *_past(store, about)]
    query = records.Query(about, by, action, outcome or "", since_ms)
    shown = [records.archived(one) for one in records.newest(found, query, limit + 1)]
    output.show(as_json, shown[:limit], lambda rows: _table(rows, now_ms), "nothing that people did is on record")
    if len(shown) > limit and not as_json:
        output.say(f"… and older ones: `skerry audit -n {min(10_000, limit * 10)}` shows more")


def _read(things: "Sequence[Object]") -> "list[Record]":
    """Those that cannot be read are told of, and left out."""
    from skerry.core import audit as records
    from skerry.core import errors

    found = []
    for thing in things:
        try:
            found.append(records.parse(thing.name, thing.spec, thing.status))
        except errors.InputError as exc:
            output.say(f"note: {exc}", err=True)
    return found


def _past(store: "Objects", about: str) -> "list[Record]":
    """Writes past skerry of one object, where it is named whole."""
    from skerry.core import audit as records
    from skerry.core import errors

    kind, slash, name = about.partition("/")
    if not slash:
        return []
    try:
        found = store.strangers(kind, name)
    except errors.NotFoundError:
        return []  # it is gone; the records stay
    return [records.past(kind, name, one.manager, one.part, one.at_unix_ms) for one in found]


def _table(rows: Any, now_ms: int) -> None:
    output.print_table(
        "what people did",
        ["when", "by", "action", "object", "outcome", "why"],
        (
            [
                output.age(row["atUnixMs"], now_ms),
                row["by"] or f"({row['via']})",
                row["action"],
                f"{row['kind']}/{row['object']}",
                output.styled(row["outcome"], _STYLES[row["outcome"]]),
                row["reason"] or row["message"] or output.DASH,
            ]
            for row in rows
        ),
    )
