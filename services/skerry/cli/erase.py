"""`skerry erase`: remove what must not be kept any more, and tell how far that is."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects
    from skerry.core.erasures import Erasure

_LOOK_S = 0.5
_PLACES = {"StorageErased": "storage", "GoldenSetsErased": "golden sets", "NodesErased": "nodes"}


@click.group(invoke_without_command=True)
@click.option("--node", default="", help="Whatever this node captured, and will capture.")
@click.option("--example", default="", metavar="ID", help="The example with this id (sha256:…).")
@click.option("--before", default="", metavar="DATE", help="Whatever was answered or stored before then.")
@click.option("--request", default="", metavar="ID", help="Each row of the request that was given this id.")
@click.option("--subject", default="", metavar="KEY", help="Whatever requests said to be of this skerry_subject.")
@click.option(
    "--subject-key",
    "key_file",
    envvar="SKERRY_SUBJECT_KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file that agents have as SKERRY_SUBJECT_KEY, with --subject.",
)
@click.option("--model", default="", help="Only of this model.")
@click.option("--reason", default="", help="Kept with the record, for whoever reads it later.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait", "wait_s", default=60.0, show_default=True, type=click.FloatRange(0), help="Seconds to follow it."
)
@state_option
@click.pass_context
def erase(
    context: click.Context,
    node: str,
    example: str,
    before: str,
    request: str,
    subject: str,
    key_file: Path | None,
    model: str,
    reason: str,
    yes: bool,
    wait_s: float,
    state: Path,
) -> None:
    """Remove the bytes of what one option names: from nodes, examples, truths, labels and parts of datasets. It stands
    until `skerry erase end`: nodes capture nothing of it, and no upload brings it back. Versions that learned from it
    are named, and stay. Backups that were taken before still hold it; it is removed again after `skerry restore`."""
    if context.invoked_subcommand is not None:
        return
    from skerry.core import errors

    given = {"node": node, "example": example, "beforeUnixMs": before, "request": request, "subject": subject}
    named = {what: value for what, value in given.items() if value}
    if len(named) != 1:
        raise errors.InputError(
            "exactly one of --node, --example, --before, --request and --subject says what to erase"
        )
    ((what, value),) = named.items()
    spec = {what: _value(what, value, key_file or _key_of(state)), "model": model, "reason": reason}
    shown = "a subject" if what == "subject" else f"{what.removesuffix('UnixMs')} {value}"
    if not yes and not click.confirm(f"Remove for good what is stored of {shown}, wherever it lies?"):
        output.say("nothing is erased")
        return
    begin(state, spec, shown, wait_s)


def begin(state: Path, spec: Mapping[str, Any], shown: str, wait_s: float) -> None:
    """Make the Erasure, say what follows, and follow it for a while."""
    from skerry.cli import acting, object_access
    from skerry.core import erasures, intents

    store = object_access.store_of(state)
    acts = acting.on(store, str(spec.get("reason", "")))
    what = next(one for one in erasures.WHAT if one in spec)
    name = f"{what.removesuffix('UnixMs').lower()}-{object_access.suffix()}"
    spec = {**spec, "atUnixMs": object_access.now_ms()}
    erasure = erasures.parse(name, spec)
    erasures.check_new(erasure, standing(store))
    _note_unknown(store, erasure)
    # First, so that a command that dies in between can be given again: the same erasure is refused.
    if erasure.what == erasures.NODE and not erasure.model and not _is_forgotten(store, str(erasure.value)):
        exclusion = {"node": erasure.value, "reason": erasure.reason or name, "atUnixMs": erasure.at_unix_ms}
        acts.create(intents.Creation("Exclusion", str(erasure.value), exclusion), "forget")
        output.say(f"nothing of node {erasure.value} is learned from any more, either (`skerry nodes forgotten`)")
    acts.create(intents.Creation("Erasure", name, dict(spec)), "erase")
    output.say(f"{name}: what is stored of {shown} is being erased; `skerry erase show {name}` says how far it is")
    output.say("backups that were taken before now still hold it: let them go, too")
    _follow(store, name, wait_s)


def _key_of(state: Path) -> Path | None:
    """Of agents that `skerry up` started."""
    from skerry.cli.system.layout import Layout

    key = Layout(state).subject_key
    return key if key.exists() else None


def _is_forgotten(store: "Objects", node: str) -> bool:
    return any(node in (one.name, one.spec.get("node")) for one in store.list("Exclusion"))


def standing(store: "Objects") -> "list[Erasure]":
    from skerry.core import erasures

    return erasures.standing((one.name, one.spec, one.status) for one in store.list("Erasure"))


def _value(what: str, value: str, key_file: Path | None) -> str | int:
    from skerry.cli import object_access
    from skerry.core import errors, moments, subjects

    if what == "beforeUnixMs":
        at_ms, has_zone = moments.parse(value, "--before")
        if not has_zone:
            output.say(f"note: {value} names no time zone and is read as UTC: before {_utc(at_ms)}", err=True)
        if at_ms > object_access.now_ms():
            raise errors.InputError(
                f"--before {value} is still to come ({_utc(at_ms)}): nodes would capture nothing until then"
            )
        return at_ms
    if what != "subject":
        return value
    if key_file is None:
        raise errors.InputError(
            "--subject needs --subject-key (SKERRY_SUBJECT_KEY): the file that agents have as theirs"
        )
    return subjects.hashed(subjects.check(value), subjects.read_key(key_file.read_text()[:1024], str(key_file)))


def _utc(at_ms: int) -> str:
    from skerry.core import conditions

    return conditions.stamp(at_ms)


def _note_unknown(store: "Objects", erasure: "Erasure") -> None:
    """A name that nothing has may be a typing error; it may also be gone already, so it stands all the same."""
    node = str(erasure.value) if erasure.what == "node" else ""
    for kind, name in (("EdgeNode", node), ("EdgeModel", erasure.model)):
        if name and name not in {one.name for one in store.list(kind)}:
            output.say(f"note: there is no {kind} {name} now", err=True)


def _follow(store: "Objects", name: str, wait_s: float) -> None:
    """Print each place when something changes there, until all are done or the time is over."""
    from skerry.cli import object_access

    told: dict[str, str] = {}
    until_s = time.monotonic() + wait_s
    while True:
        thing = store.get("Erasure", name)
        for kind, place in _PLACES.items():
            line = _line(object_access.condition(thing, kind))
            if line and told.get(kind) != line:
                told[kind] = line
                output.say(f"  {place}: {line}")
        if object_access.condition(thing, "Complete").get("status") == "True":
            output.say(f"{name} is complete{_learned(thing)}")
            return
        if time.monotonic() >= until_s:
            break
        time.sleep(min(_LOOK_S, wait_s))
    if wait_s:
        output.say(f"{name} goes on by itself{_learned(thing)}")


def _line(condition: Mapping[str, Any]) -> str:
    if not condition:
        return ""
    word = "done" if condition.get("status") == "True" else str(condition.get("reason", ""))
    return f"{word}: {condition['message']}" if condition.get("message") else word


def _learned(thing: "Object") -> str:
    versions = [one.get("version", "") for one in thing.status.get("versions", [])]
    return f"; these versions learned from it and stay: {', '.join(versions)}" if versions else ""


@erase.command("list")
@output.json_option
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List the erasures that stand, oldest first. With --json it is what `skerry restore --erasures` takes."""
    from skerry.cli import object_access

    found = object_access.oldest_first(object_access.store_of(state).list("Erasure"))
    now = object_access.now_ms()
    output.show(as_json, [row(one) for one in found], lambda rows: _table(rows, now), "nothing was erased")


def row(thing: "Object") -> dict[str, Any]:
    from skerry.cli import object_access

    complete = object_access.condition(thing, "Complete")
    return {
        "name": thing.name,
        "spec": thing.spec,
        "complete": complete.get("status") == "True",
        "reason": complete.get("reason", "Waiting"),
        "message": complete.get("message", ""),
        "examples": thing.status.get("examples"),
        "parts": thing.status.get("parts"),
        "versions": thing.status.get("versions", []),
        "goldenSets": thing.status.get("goldenSets", []),
        "waitingNodes": thing.status.get("waitingNodes", []),
    }


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "erasures",
        ["name", "of", "model", "age", "state", "examples", "learned from it"],
        (
            [
                one["name"],
                _of(one["spec"]),
                one["spec"].get("model") or "every",
                output.age(one["spec"].get("atUnixMs"), now),
                "complete" if one["complete"] else one["reason"],
                output.DASH if one["examples"] is None else one["examples"],
                ", ".join(version["version"] for version in one["versions"]) or output.DASH,
            ]
            for one in rows
        ),
    )


def _of(spec: Mapping[str, Any]) -> str:
    from skerry.core import erasures

    what = next((one for one in erasures.WHAT if one in spec), "")
    if what == erasures.BEFORE:
        return f"before {_utc(int(spec[what]))}"
    value = str(spec.get(what, ""))
    return f"{what} {value[:19] + '…' if what in (erasures.EXAMPLE, erasures.SUBJECT) else value}"


@erase.command("show")
@click.argument("name")
@output.json_option
@state_option
def show(name: str, as_json: bool, state: Path) -> None:
    """Show how far the erasure NAME is, place by place, and which versions learned from what it removed."""
    from skerry.cli import object_access

    thing = object_access.store_of(state).get("Erasure", name)
    if as_json:
        output.print_json(row(thing))
        return
    facts = [("of", _of(thing.spec)), ("model", thing.spec.get("model") or "every"), ("why", thing.spec.get("reason"))]
    facts += [(place, _line(object_access.condition(thing, kind))) for kind, place in _PLACES.items()]
    facts.append(("all in all", _line(object_access.condition(thing, "Complete")) or "waiting for the controller"))
    facts += [
        (f"version {one['version']}", f"learned from {one['rows']} rows of it, and stays")
        for one in thing.status.get("versions", [])
    ]
    facts += [
        (f"golden set of {one.get('version')}", one.get("message", "")) for one in thing.status.get("goldenSets", [])
    ]
    output.print_table(name, ["what", "is"], [[what, told] for what, told in facts if told])


@erase.command("end")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Also when it is not complete.")
@state_option
def end(name: str, yes: bool, state: Path) -> None:
    """Let the erasure NAME stand no more: what it means may be captured and uploaded again. What it removed stays
    removed."""
    from skerry.cli import acting, object_access
    from skerry.core import errors, intents

    store = object_access.store_of(state)
    thing = store.get("Erasure", name)
    if not yes and object_access.condition(thing, "Complete").get("status") != "True":
        raise errors.RejectedError(
            f"{name} is not complete: a node that was away, or a backup, may still hold what it means; "
            f"--yes ends it all the same (`skerry erase show {name}`)"
        )
    acting.on(store).delete("Erasure", name, lambda known: intents.Deletion("Erasure", known.name), "end")
    output.say(f"{name} has ended: what it means may be captured again; what it removed stays removed")
