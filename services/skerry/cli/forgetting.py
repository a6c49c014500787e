"""`skerry nodes forget`, `forgotten` and `trust`: what a node may teach."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import erase, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects


@click.command()
@click.argument("name")
@click.option("--reason", default="", help="Kept with the record, for whoever reads it later.")
@click.option("--undo", is_flag=True, help="Learn from the node again; what was erased of it does not come back.")
@click.option(
    "--erase/--keep", "erases", default=None, help="Also remove what it sent, for good; without: it is asked."
)
@state_option
def forget(name: str, reason: str, undo: bool, erases: bool | None, state: Path) -> None:
    """Learn nothing from NAME any more: no row, label, truth or answer of it counts in later datasets, runs and
    verdicts, also after its EdgeNode is deleted. Tells which versions learned from it; those stay as they are. With
    --erase (or a yes) what it sent is removed for good, as by `skerry erase --node NAME`."""
    from skerry.cli import acting, object_access
    from skerry.core import errors, intents

    store = object_access.store_of(state)
    if undo:
        acts = acting.on(store, reason)
        named = [one.name for one in store.list("Exclusion") if one.spec.get("node") == name]  # by whatever name
        if not named:
            raise errors.NotFoundError(f"node {name} is not forgotten: `skerry nodes forgotten` lists those that are")
        for one in named:
            acts.delete("Exclusion", one, lambda known: intents.Deletion("Exclusion", known.name), "unforget")
        for erasure in store.list("Erasure"):
            if erasure.spec.get("node") == name:
                acts.delete("Erasure", erasure.name, lambda known: intents.Deletion("Erasure", known.name), "end")
                output.say(f"{erasure.name} has ended: what it removed stays removed")
        output.say(f"node {name} may teach again")
        return
    if erases is None and sys.stdin.isatty():
        erases = click.confirm(f"Remove for good what node {name} ever sent, too? (no: it is only not learned from)")
    exclude(store, name, reason)
    if erases:
        erase.begin(state, {"node": name, "reason": reason}, f"node {name}", 0.0)
    else:
        output.say(f"what it sent is still stored: `skerry erase --node {name}` removes it for good")


def excluded(store: "Objects") -> frozenset[str]:
    """The nodes that are forgotten."""
    from skerry.core import exclusions

    return exclusions.nodes(one.spec for one in store.list("Exclusion"))


def exclude(store: "Objects", name: str, reason: str) -> None:
    """Make the Exclusion, and say what follows."""
    from skerry.cli import acting, object_access
    from skerry.core import exclusions, intents

    exclusions.check_new(name, excluded(store))
    spec = {"node": name, "reason": reason, "atUnixMs": object_access.now_ms()}
    acting.on(store, reason).create(intents.Creation("Exclusion", name, spec), "forget")
    if name not in {one.name for one in store.list("EdgeNode")}:
        output.say(f"note: there is no EdgeNode {name} now; `skerry nodes` lists those there are", err=True)
    output.say(
        f"node {name} is forgotten: nothing of it is learned from any more; `skerry nodes forgotten` says "
        "which versions learned from it, `skerry rollout start` goes back to one that did not"
    )


@click.command()
@output.json_option
@state_option
def forgotten(as_json: bool, state: Path) -> None:
    """List the nodes that nothing is learned from, and the versions that learned from them before."""
    from skerry.cli import object_access

    found = object_access.oldest_first(object_access.store_of(state).list("Exclusion"))
    now = object_access.now_ms()
    output.show(as_json, [_row(one) for one in found], lambda rows: _table(rows, now), "no node was forgotten")


def _row(exclusion: "Object") -> dict[str, Any]:
    return {
        "node": exclusion.spec.get("node", ""),
        "reason": exclusion.spec.get("reason", ""),
        "atUnixMs": exclusion.spec.get("atUnixMs", 0),
        "versions": exclusion.status.get("versions", []),
        "unknown": exclusion.status.get("unknown", []),
    }


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "nodes that nothing is learned from",
        ["node", "why", "since", "versions that learned from it (rows)", "not known of"],
        (
            [
                row["node"],
                row["reason"] or output.DASH,
                output.age(row["atUnixMs"] or None, now),
                ", ".join(map(_learned, row["versions"])) or output.DASH,
                ", ".join(row["unknown"]) or output.DASH,
            ]
            for row in rows
        ),
    )


def _learned(one: Any) -> str:
    return f"{one['version']} ({one['train'] + one['holdout']})"


@click.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="Bound what it teaches again, as of every node.")
@state_option
def trust(name: str, off: bool, state: Path) -> None:
    """Vouch for what NAME teaches: its share of a class is not bounded, a class that it alone has is learned, and its
    truths count though they contradict the teacher and the other nodes."""
    from skerry.cli import acting, object_access
    from skerry.core import intents

    store = object_access.store_of(state)
    acting.on(store).change(
        "stop trusting" if off else "trust", "EdgeNode", name, lambda known: intents.trust(known, on=not off)
    )
    output.say(f"what node {name} teaches is {'bounded as of every node' if off else 'not bounded any more'}")
