"""`skerry labels`: how far each model's labels are, and what labelling goes on without."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import listing, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.core.set_aside import SetAside
    from skerry.curator.set_aside import Key, SetAsideStore

_SHORTEST_NAME = 4
_COUNTS = ("labelled", "truths", "untold", "waiting")

model_option = click.option("--model", default="", help="Only of this model.")
reason_option = click.option("--reason", default="", help="Only what was set aside for this reason.")


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of a command that acts on some of what was set aside."""
    every = click.option("--all", "every", is_flag=True, help="All that --model and --reason choose.")
    for one in (state_option, reason_option, model_option, every, click.argument("names", nargs=-1)):
        command = one(command)
    return command


@click.group(cls=listing.ListingGroup)
@output.json_option
@state_option
@click.pass_context
def labels(context: click.Context, as_json: bool, state: Path) -> None:
    """List how far each model's labels are behind what its nodes captured, and why."""
    if context.invoked_subcommand is None:
        _list(as_json, state)


def _list(as_json: bool, state: Path) -> None:
    from skerry.cli import object_access
    from skerry.core import label_backlog

    rows = []
    readings = _readings(state)
    for model in object_access.store_of(state).list("EdgeModel"):
        reading = readings.get(model.name, {})
        backlog, standing = label_backlog.from_json(reading), object_access.condition(model, label_backlog.CONDITION)
        rows.append(
            {
                "model": model.name,
                "labelled": reading.get("labeled"),
                "truths": reading.get("truths"),
                "waiting": backlog.waiting if backlog else None,
                "oldestUnixMs": backlog.oldest_unix_ms or None if backlog else None,
                "untold": backlog.untold if backlog else None,
                "setAside": dict(backlog.set_aside) if backlog else {},
                "refused": dict(backlog.refused) if backlog else {},
                "reason": standing.get("reason", ""),
                "message": standing.get("message", ""),
            }
        )
    now = object_access.now_ms()
    output.show(as_json, rows, lambda listed: _table(listed, now), "there is no model yet: `skerry models apply`")


def _readings(state: Path) -> dict[str, dict[str, Any]]:
    """What the curator tells, by model; nothing while Redis is away."""
    from skerry.adapters import fleetstate
    from skerry.cli import system_file
    from skerry.core import contract, errors

    try:
        texts = fleetstate.open_fleetstate(system_file.read(state).redis).get(contract.CURATOR_READINGS)
    except (errors.UnavailableError, errors.InputError) as exc:  # away, or nobody said where
        output.say(f"how many wait is not known: {exc}", err=True)
        return {}
    return {key.removeprefix(contract.CURATOR_READINGS): _parsed(text) for key, text in texts.items()}


def _parsed(text: str) -> dict[str, Any]:
    """A reading; one that is no JSON object says nothing."""
    import json

    try:
        reading = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return reading if isinstance(reading, dict) else {}


def _table(rows: Sequence[Any], now: int) -> None:
    output.print_table(
        "labels",
        ["model", "labelled", "by truth", "truth not told", "waiting", "oldest", "set aside", "standing"],
        (
            [
                row["model"],
                *(output.DASH if row[field] is None else row[field] for field in _COUNTS),
                output.age(row["oldestUnixMs"], now),
                sum(row["setAside"].values()) or output.DASH,
                ": ".join(text for text in (row["reason"], row["message"]) if text) or output.DASH,
            ]
            for row in rows
        ),
    )


@labels.group(cls=listing.ListingGroup)
@model_option
@reason_option
@output.json_option
@state_option
@click.pass_context
def aside(context: click.Context, model: str, reason: str, as_json: bool, state: Path) -> None:
    """List what was set aside, since it killed or failed whoever read it. Labelling goes on without."""
    if context.invoked_subcommand is not None:
        return
    from skerry.cli import object_access

    store, now = _store(state), object_access.now_ms()
    rows = [_document(record) for _, record in _chosen(store, (), model, reason, every=True)]
    output.show(as_json, rows, lambda listed: _aside_table(listed, now), "nothing is set aside")


def _aside_table(rows: Sequence[Any], now: int) -> None:
    output.print_table(
        "set aside",
        ["name", "model", "kind", "reason", "age", "message"],
        (
            [
                row["name"][:16],
                row["model"] or output.DASH,
                row["kind"],
                row["reason"],
                output.age(row["atUnixMs"], now),
                row["message"],
            ]
            for row in rows
        ),
    )


@aside.command()
@click.argument("name")
@output.json_option
@state_option
def show(name: str, as_json: bool, state: Path) -> None:
    """Show one of them and where it lies; the beginning of its name is enough. It is not read: it may be what kills."""
    for key, record in _chosen(_store(state), (name,), "", "", every=False):
        document = _document(record) | {"blob": key.content}
        if as_json:
            output.print_json(document)
            return
        for field, value in document.items():
            output.say(f"{field:10} {value}")


@aside.command()
@choosing
def retry(names: tuple[str, ...], every: bool, model: str, reason: str, state: Path) -> None:
    """Have NAMES tried again, within half a minute: the cause is gone, or another release reads them."""
    store = _store(state)
    chosen = _chosen(store, names, model, reason, every=every)
    for key, _ in chosen:
        store.forget(*key)
    output.say(f"{len(chosen)} will be tried again")


@aside.command()
@choosing
def drop(names: tuple[str, ...], every: bool, model: str, reason: str, state: Path) -> None:
    """Remove NAMES for good: an example with its truth and its label. Datasets that hold it already keep it."""
    store = _store(state)
    chosen = _chosen(store, names, model, reason, every=every)
    for key, _ in chosen:
        store.drop(*key)
    output.say(f"{len(chosen)} dropped")


def _store(state: Path) -> "SetAsideStore":
    from skerry.adapters import blobs
    from skerry.cli import system_file
    from skerry.core import errors
    from skerry.curator.set_aside import SetAsideStore

    url = system_file.read(state).blobs
    if not url:
        raise errors.InputError(
            "where blobs are is not known: set SKERRY_BLOBS, or run this in the cluster "
            "(kubectl exec deploy/skerry-toolbox -- skerry labels aside)"
        )
    return SetAsideStore(blobs.open_shared(url))


def _chosen(
    store: "SetAsideStore", names: Sequence[str], model: str, reason: str, *, every: bool
) -> "list[tuple[Key, SetAside]]":
    """Each with its record; a damaged record is told as one. Raises InputError, NotFoundError."""
    from skerry.core import errors

    if bool(names) == every:
        raise errors.InputError("give the names of what is meant (`skerry labels aside`), or --all, and not both")
    keys = [key for key in store.every() if not model or key.model == model]
    chosen = keys if every else [_find(keys, name) for name in names]
    records = [(key, store.record(key)) for key in chosen]
    return [(key, record) for key, record in records if not reason or record.reason == reason]


def _find(keys: "Sequence[Key]", name: str) -> "Key":
    from skerry.core import errors

    if len(name) < _SHORTEST_NAME:
        raise errors.InputError(f"{name!r} names too many: give at least {_SHORTEST_NAME} characters of the name")
    found = [key for key in keys if key.name.startswith(name)]
    if not found:
        raise errors.NotFoundError(f"{name!r:.80} is not set aside: `skerry labels aside` lists what is")
    if len(found) > 1:
        raise errors.InputError(
            f"{name!r:.80} may be {', '.join(key.name[:16] for key in found[:3])}: give more of the name, or --model"
        )
    return found[0]


def _document(record: "SetAside") -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(record.to_json())
    return document
