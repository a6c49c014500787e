"""`skerry fleets`: which nodes belong together in rollouts, and how many of them may swap at once."""

from pathlib import Path
from typing import Any

import click

from skerry.cli import listing, output
from skerry.cli.up import state_option


@click.group(cls=listing.ListingGroup)
@output.json_option
@state_option
@click.pass_context
def fleets(context: click.Context, as_json: bool, state: Path) -> None:
    """List fleets and make them. A rollout goes to the fleet of its model: `all`, unless the model names another."""
    if context.invoked_subcommand is None:
        _list(as_json, state)


@fleets.command("list")
@output.json_option
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List fleets and how many nodes each has."""
    _list(as_json, state)


def _list(as_json: bool, state: Path) -> None:
    from skerry.cli import object_access

    rows = [
        {
            "fleet": fleet.name,
            "selector": fleet.spec.get("selector", {}),
            "maxUnavailable": fleet.spec.get("maxUnavailable", 1),
            "nodes": fleet.status.get("nodes"),
            "online": fleet.status.get("online"),
            "message": object_access.condition(fleet, "Ready").get("message", ""),
        }
        for fleet in sorted(object_access.store_of(state).list("EdgeFleet"), key=lambda fleet: fleet.name)
    ]
    output.show(as_json, rows, _table, "there is no fleet: `skerry fleets create all` makes one of every node")


def _table(rows: Any) -> None:
    output.print_table(
        "fleets",
        ["fleet", "nodes with labels", "may swap at once", "online", "state"],
        (
            [
                row["fleet"],
                ", ".join(f"{key}={value}" for key, value in sorted(row["selector"].items())) or "any",
                str(row["maxUnavailable"]),
                output.DASH if row["nodes"] is None else f"{row['online']}/{row['nodes']}",
                row["message"] or output.DASH,
            ]
            for row in rows
        ),
    )


@fleets.command()
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Nodes must have it; may be repeated.")
@click.option("--max-unavailable", metavar="N|N%", help="Nodes that may swap at once. [default: 1]")
@click.option("--offline-after", type=int, metavar="SECONDS", help="Silence that means offline. [default: 15]")
@state_option
def create(
    name: str, labels: tuple[str, ...], max_unavailable: str | None, offline_after: int | None, state: Path
) -> None:
    """Make the fleet NAME: the nodes with all the given labels, or every node when none is given."""
    from skerry.cli import acting, object_access
    from skerry.core import intents

    selector = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{label!r} must be key=value", param_hint="--label")
        selector[key] = value
    is_count = max_unavailable is not None and max_unavailable.isascii() and max_unavailable.isdecimal()
    amount = int(max_unavailable) if is_count and max_unavailable is not None else max_unavailable
    creation = intents.create_fleet(name, selector, max_unavailable=amount, offline_after_s=offline_after)
    acting.on(object_access.store_of(state)).create(creation)
    output.say(f"fleet {name} is made: {', '.join(labels) if labels else 'every node belongs to it'}")
