"""`skerry nodes`: the fleet's nodes, who may join it, and who may no longer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import forgetting, listing, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.core import intents

_NAMES_SHOWN = 20


@click.group(cls=listing.ListingGroup)
@click.option(
    "--page", type=click.IntRange(1), help="Which hundred of them, by name. Left out: the first; of --json all."
)
@output.json_option
@state_option
@click.pass_context
def nodes(context: click.Context, page: int | None, as_json: bool, state: Path) -> None:
    """List edge nodes: whether each is alive, and what it serves. Subcommands admit nodes and keep them out."""
    if context.invoked_subcommand is None:
        _list(as_json, state, page)


for _command in (forgetting.forget, forgetting.forgotten, forgetting.trust):
    nodes.add_command(_command)


def _list(as_json: bool, state: Path, page: int | None) -> None:
    from skerry.cli import node_list

    node_list.show(as_json, state, page)


@nodes.command("show")
@click.argument("name")
@output.json_option
@state_option
def show_node(name: str, as_json: bool, state: Path) -> None:
    """Show all of NAME: its keys, what it serves, its conditions, and which of its uploads were not taken and why."""
    from skerry.cli import node_list

    node_list.show_one(name, as_json, state)


@nodes.command()
@click.argument("name")
@click.option("--key", default="", help="The key, as the node itself shows it; its first 8 digits and more are enough.")
@state_option
def approve(name: str, key: str, state: Path) -> None:
    """Let NAME speak with the key that it last tried to enrol with: it was reset or replaced. The key that was approved
    before is no longer valid. Without --key it tells which key waits, and approves none."""
    from skerry.cli import object_access
    from skerry.core import intents

    now_ms = object_access.now_ms()
    patch = _change(state, "approve", name, lambda known: intents.approve(known, key, now_ms=now_ms))
    output.say(f"node {name} may enrol with key {patch.spec['approvedKey']}; it asks again by itself")


@nodes.command("delete")
@click.argument("names", nargs=-1, required=True)
@state_option
def delete_node(names: tuple[str, ...], state: Path) -> None:
    """Delete the objects of NAMES: nodes that are gone, or that nobody let in. A member is revoked first, and the
    tokens that let it in again are deleted. What a node uploaded stays."""
    from skerry.adapters import acts
    from skerry.cli import acting, object_access
    from skerry.core import intents

    store, now_ms = object_access.store_of(state), object_access.now_ms()
    tokens = [acts.known(token) for token in store.list("JoinToken")]

    def intent(known: intents.Known) -> intents.Deletion:
        return intents.delete_node(known, tokens, now_ms=now_ms)

    for name in names:  # all are looked at before the first is deleted
        intent(acts.known(store.get("EdgeNode", name)))
    for name in names:
        acting.on(store).delete("EdgeNode", name, intent)
        output.say(f"node {name} is deleted; with a join token it may enrol anew")


@nodes.command()
@click.argument("name")
@click.option("--forget", "forgets", is_flag=True, help="Learn nothing from it any more, too (`skerry nodes forget`).")
@state_option
def revoke(name: str, forgets: bool, state: Path) -> None:
    """Refuse NAME at every port of the gateway from now on, whatever certificate it has. What it sent before is still
    learned from, unless --forget."""
    from skerry.cli import object_access
    from skerry.core import intents

    _change(state, "revoke", name, intents.revoke)
    output.say(f"node {name} is revoked; `skerry nodes readmit {name}` undoes that")
    store = object_access.store_of(state)
    if name in forgetting.excluded(store):
        output.say("nothing of it is learned from: it is forgotten already")
    elif forgets:
        forgetting.exclude(store, name, "revoked")
    else:
        output.say(f"what it sent is still learned from: `skerry nodes forget {name}` ends that")


@nodes.command()
@click.argument("name")
@state_option
def readmit(name: str, state: Path) -> None:
    """Undo a revocation of NAME: its approved key is valid again."""
    from skerry.core import intents

    _change(state, "readmit", name, intents.readmit)
    output.say(f"node {name} may connect again")


@nodes.command()
@click.argument("name")
@click.argument("labels", nargs=-1, required=True)
@state_option
def label(name: str, labels: tuple[str, ...], state: Path) -> None:
    """Set LABELS of NAME, as key=value; key- removes one. Fleets select nodes by them."""
    from skerry.core import intents

    wanted: dict[str, str | None] = {}
    for item in labels:
        key, equals, value = item.partition("=")
        if not equals and not item.endswith("-"):
            raise click.BadParameter(f"{item!r} must be key=value, or key- to remove it")
        wanted[key if equals else item[:-1]] = value if equals else None
    _change(state, "label", name, lambda known: intents.label(known, wanted))
    output.say(f"labels of {name}: set {', '.join(labels)}")


@nodes.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="Give it new versions again.")
@state_option
def cordon(name: str, off: bool, state: Path) -> None:
    """Give NAME no new version."""
    from skerry.core import intents

    patch = _change(state, "uncordon" if off else "cordon", name, lambda known: intents.cordon(known, on=not off))
    if bool(patch.seen["cordoned"]) is not off:
        output.say(f"nothing changed: node {name} {'takes new versions' if off else 'gets no new version'} already")
    else:
        output.say(f"node {name} {'takes new versions again' if off else 'gets no new version'}")


@nodes.group()
def token() -> None:
    """Join tokens: permission for nodes to enrol."""


@token.command("create")
@click.option("--pattern", default="*", show_default=True, help="Names that may enrol with it, with * and ?.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1, 20_000), help="How many nodes, each once.")
@click.option(
    "--hours", default=1.0, show_default=True, type=click.FloatRange(0.01, 24 * 30), help="How long it is valid."
)
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the nodes; may be repeated.")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="SKERRY_CLIENT_CA",
    required=True,
    help="The fleet's CA certificate (PEM); nodes check the gateway by it.",
)
@state_option
def create(pattern: str, uses: int, hours: float, labels: tuple[str, ...], ca: Path, state: Path) -> None:
    """Create a join token and print it, once: only its hash is kept."""
    import secrets

    from skerry.adapters import pki
    from skerry.cli import acting, object_access
    from skerry.core import intents, join_tokens

    given = dict(item.partition("=")[::2] for item in labels)
    new_token = join_tokens.Token(secrets.token_hex(6), secrets.token_urlsafe(24), pki.digest_of_ca(ca))
    expires_ms = object_access.now_ms() + int(hours * 3_600_000)
    creation = intents.create_token(new_token, pattern, uses, given, expires_ms=expires_ms)
    acting.on(object_access.store_of(state)).create(creation)
    output.say(str(new_token))


@token.command("list")
@output.json_option
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List join tokens and which nodes used them."""
    from skerry.cli import object_access
    from skerry.core import join_tokens

    now, store = object_access.now_ms(), object_access.store_of(state)
    let_in: dict[str, set[str]] = {}
    for node in store.list("EdgeNode"):
        let_in.setdefault(node.labels.get(join_tokens.JOINED_BY, ""), set()).add(node.name)
    rows = [
        {
            "token": token_object.name,
            "pattern": token_object.spec.get("nodePattern", "*"),
            "uses": token_object.spec.get("uses", 1),
            "used": join_tokens.used_of(token_object.status),
            "usedBy": sorted(
                let_in.get(token_object.name, set()) | {use["name"] for use in token_object.status.get("nodes", [])}
            ),
            "expired": now >= int(token_object.spec.get("expiresUnixMs", 0)),
        }
        for token_object in object_access.oldest_first(store.list("JoinToken"))
    ]
    output.show(as_json, rows, _token_table, "there is no join token: `skerry nodes token create` makes one")


@token.command("delete")
@click.argument("name")
@state_option
def delete(name: str, state: Path) -> None:
    """Delete the join token NAME: no node can enrol with it any more. Nodes that already enrolled stay."""
    from skerry.cli import acting, object_access
    from skerry.core import intents

    acting.on(object_access.store_of(state)).delete("JoinToken", name, intents.delete_token)
    output.say(f"join token {name} is gone")


def _token_table(rows: Any) -> None:
    output.print_table(
        "join tokens",
        ["token", "for nodes", "uses", "used by", "state"],
        (
            [
                row["token"],
                row["pattern"],
                f"{row['used']}/{row['uses']}",
                _names(row["usedBy"]) or output.DASH,
                output.styled("expired", "red") if row["expired"] else output.styled("good", "green"),
            ]
            for row in rows
        ),
    )


def _names(names: Sequence[str]) -> str:
    """The first few: the whole list is in --json."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _change(state: Path, action: str, name: str, intent: "Callable[[intents.Known], intents.Patch]") -> "intents.Patch":
    from skerry.cli import acting, object_access

    return acting.on(object_access.store_of(state)).change(action, "EdgeNode", name, intent)
