"""`skerry rollout`: what the fleet is doing, and what an operator can do with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object

_PHASE_STYLES = {"Succeeded": "green", "RolledBack": "red", "RollbackIncomplete": "red", "Paused": "yellow"}


@click.group()
def rollout() -> None:
    """See and control rollouts."""


@rollout.command("list")
@output.json_option
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List rollouts, newest last."""
    from skerry.cli import object_access

    rollouts = object_access.oldest_first(object_access.store_of(state).list("ModelRollout"))
    now = object_access.now_ms()
    output.show(
        as_json, [_row(thing) for thing in rollouts], lambda rows: _rollout_table(rows, now), "there is no rollout yet"
    )


def _row(thing: "Object") -> dict[str, Any]:
    from skerry.cli import object_access

    status = thing.status
    waves, wave = status.get("waves", []), int(status.get("wave", 0))
    succeeded = object_access.condition(thing, "Succeeded")
    return {
        "name": thing.name,
        "model": thing.spec.get("model"),
        "version": thing.spec.get("version"),
        "phase": status.get("phase", "Pending"),
        "wave": waves[wave]["name"] if wave < len(waves) else "",
        "deferred": status.get("deferred", []),
        "deferredNodes": (status.get("summary") or {}).get("deferred", 0),
        "failed": status.get("failed", []),
        "pauseReasons": status.get("pauseReasons", []),
        "succeeded": succeeded.get("status", "Unknown"),
        "reason": succeeded.get("message") or object_access.condition(thing, "Progressing").get("message", ""),
        "createdUnixMs": thing.created_unix_ms,
    }


def _rollout_table(rows: Any, now: int) -> None:
    output.print_table(
        "rollouts",
        ["rollout", "version", "phase", "wave", "deferred", "age", "reason"],
        (
            [
                row["name"],
                row["version"],
                output.styled(row["phase"], _PHASE_STYLES.get(row["phase"], "cyan")),
                row["wave"] or output.DASH,
                _deferred(row) or output.DASH,
                output.age(row["createdUnixMs"], now),
                row["reason"],
            ]
            for row in rows
        ),
    )


@rollout.command()
@click.argument("name")
@output.json_option
@state_option
def status(name: str, as_json: bool, state: Path) -> None:
    """Show one rollout: its waves, verdicts, permits, and what can be done with it now."""
    from skerry.cli import object_access
    from skerry.core import intents

    thing = object_access.store_of(state).get("ModelRollout", name)
    offers = [{"action": offer.action, "whyNot": offer.why_not} for offer in intents.offers(object_access.known(thing))]
    if as_json:
        output.print_json({**_row(thing), "spec": thing.spec, "status": thing.status, "offers": offers})
        return
    row = _row(thing)
    output.say(f"{name}: {row['version']} of {row['model']}, {row['phase']}. {row['reason']}")
    output.print_table(
        "waves",
        ["wave", "nodes", "updated", "failed", "deferred", "verdict"],
        (
            [
                wave["name"],
                ", ".join(wave["nodes"]) or f"{wave.get('size', 0)} nodes",
                *(wave.get("counts", {}).get(count, 0) for count in ("updated", "failed", "deferred")),
                _verdict(wave.get("verdict") or {}),
            ]
            for wave in thing.status.get("waves", [])
        ),
    )
    for failure in row["failed"]:
        output.say(f"failed on {failure['node']}: {failure['reason']}")
    for kind in thing.status.get("failures", []):
        if kind["nodes"] > 1:
            output.say(f"{kind['nodes']} nodes: {kind['reason']}")
    possible = [offer["action"] for offer in offers if not offer["whyNot"]]
    output.say(f"possible now: {', '.join(possible) or 'nothing'}")


def _deferred(row: Any) -> str:
    """Names, as many as are kept, and how many more there are."""
    names = ", ".join(row["deferred"])
    more = row["deferredNodes"] - len(row["deferred"])
    return f"{names} and {more} more" if more > 0 else names


def _verdict(verdict: Any) -> str:
    return f"{verdict['result']}: {verdict.get('reason', '')}" if verdict.get("result") else output.DASH


@rollout.command()
@click.argument("version")
@state_option
def start(version: str, state: Path) -> None:
    """Roll VERSION (a ModelVersion, like press-v3) out, as its model's rollout policy says."""
    from skerry.cli import object_access
    from skerry.core import errors, intents

    store = object_access.store_of(state)
    model = store.get("ModelVersion", version).spec["model"]
    versions = object_access.published(store, model)
    if version not in versions:
        raise errors.RejectedError(f"{version} is not published: see `skerry models`")
    policy = store.get("EdgeModel", model).spec.get("rollout", {})
    created = object_access.create(store, intents.start(model, policy, versions[version], object_access.suffix()))
    output.say(f"rollout {created.name} is requested: `skerry rollout status {created.name}`")


@rollout.command()
@click.argument("model")
@click.option("--to", default="", help="The version to go back to (default: the one that was stable before).")
@state_option
def rollback(model: str, to: str, state: Path) -> None:
    """Make an older version of MODEL stable again, on all nodes."""
    from skerry.cli import object_access
    from skerry.core import intents

    store = object_access.store_of(state)
    thing = store.get("EdgeModel", model)
    rollouts = [object_access.known(thing) for thing in store.list("ModelRollout") if thing.spec.get("model") == model]
    creation = intents.rollback(
        model,
        str(thing.status.get("stableVersion", "")),
        thing.spec.get("rollout", {}),
        object_access.published(store, model),
        rollouts,
        object_access.suffix(),
        to=to,
    )
    object_access.create(store, creation)
    output.say(
        f"rollback {creation.name} to {creation.spec['version']} is requested: `skerry rollout status {creation.name}`"
    )


def _action(name: str, help_text: str) -> None:
    """A command for one action on one rollout."""

    @rollout.command(name, help=help_text)
    @click.argument("rollout_name", metavar="NAME")
    @state_option
    def act(rollout_name: str, state: Path) -> None:
        from skerry.cli import object_access
        from skerry.core import intents

        def intent(known: intents.Known) -> intents.Patch:
            if name == "retry":
                return intents.retry(known, object_access.suffix())
            patch: intents.Patch = getattr(intents, name)(known)
            return patch

        object_access.change(object_access.store_of(state), rollout_name, intent)
        output.say(f"{name} of {rollout_name} is requested: `skerry rollout status {rollout_name}`")


_action("pause", "Hold a rollout: no node is moved on, none is moved back.")
_action("resume", "Let a paused rollout go on.")
_action("abort", "Take a rollout back: every node returns to the stable version.")
_action("promote", "Pass the current wave without waiting for evidence.")
_action("retry", "Try a rollout again that ended without success.")
