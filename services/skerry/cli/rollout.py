"""`skerry rollout`: what the fleet is doing, and what an operator can do with it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object
    from skerry.core import intents

_PHASE_STYLES = {"Succeeded": "green", "RolledBack": "red", "RollbackIncomplete": "red", "Paused": "yellow"}

_WAITED = ("Progressing", "Paused", "RollingBack", "Succeeded", "RolledBack", "RollbackIncomplete", "Superseded")


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
    from skerry.adapters import acts
    from skerry.cli import object_access
    from skerry.core import intents

    thing = object_access.store_of(state).get("ModelRollout", name)
    known = acts.known(thing)
    offers = [{"action": offer.action, "whyNot": offer.why_not} for offer in intents.offers(known)]
    attempt = intents.attempt(known)
    if as_json:
        told = {**_row(thing), "attempt": attempt, "spec": thing.spec, "status": thing.status, "offers": offers}
        output.print_json(told)
        return
    row = _row(thing)
    again = f", attempt {attempt}" if attempt > 1 else ""
    output.say(f"{name}: {row['version']} of {row['model']}, {row['phase']}{again}. {row['reason']}")
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
    possible = [_offered(offer["action"], intents.standing(known)) for offer in offers if not offer["whyNot"]]
    output.say(f"possible now: {', '.join(possible) or 'nothing'}")


def _deferred(row: Any) -> str:
    """Names, as many as are kept, and how many more there are."""
    names = ", ".join(row["deferred"])
    more = row["deferredNodes"] - len(row["deferred"])
    return f"{names} and {more} more" if more > 0 else names


def _offered(action: str, wave: str) -> str:
    return f"{action} --wave {wave}" if action == "promote" else action


def _verdict(verdict: Any) -> str:
    from skerry.core import rollout

    result = rollout.result_of(verdict)
    return f"{result}: {verdict.get('reason', '')}" if result else output.DASH


@rollout.command()
@click.argument("version")
@state_option
def start(version: str, state: Path) -> None:
    """Roll VERSION (a ModelVersion, like press-v3) out, as its model's rollout policy says."""
    from skerry.cli import acting, object_access
    from skerry.core import errors, intents

    store = object_access.store_of(state)
    model = store.get("ModelVersion", version).spec["model"]
    versions = object_access.published(store, model)
    if version not in versions:
        raise errors.RejectedError(f"{version} is not published: see `skerry models`")
    policy = store.get("EdgeModel", model).spec.get("rollout", {})
    creation = intents.start(model, policy, versions[version], object_access.suffix())
    created = acting.on(store).create(creation, "start")
    output.say(f"rollout {created.name} is requested: `skerry rollout status {created.name}`")


@rollout.command()
@click.argument("model")
@click.option("--to", default="", help="The version to go back to (default: the one that was stable before).")
@state_option
def rollback(model: str, to: str, state: Path) -> None:
    """Make an older version of MODEL stable again, on all nodes."""
    from skerry.adapters import acts
    from skerry.cli import acting, object_access
    from skerry.core import intents

    store = object_access.store_of(state)
    thing = store.get("EdgeModel", model)
    rollouts = [acts.known(thing) for thing in store.list("ModelRollout") if thing.spec.get("model") == model]
    creation = intents.rollback(
        model,
        str(thing.status.get("stableVersion", "")),
        thing.spec.get("rollout", {}),
        object_access.published(store, model),
        rollouts,
        object_access.suffix(),
        to=to,
    )
    acting.on(store).create(creation, "rollback")
    output.say(
        f"rollback {creation.name} to {creation.spec['version']} is requested: `skerry rollout status {creation.name}`"
    )


@rollout.command()
@click.argument("name")
@click.option("--for", "phase", default="Succeeded", show_default=True, type=click.Choice(_WAITED), help="The phase.")
@click.option("--timeout", default=3600.0, show_default=True, type=click.FloatRange(min=0), help="Seconds.")
@state_option
def wait(name: str, phase: str, timeout: float, state: Path) -> None:
    """Return when a rollout is in a phase; exit code 1 when it has ended in another, 4 when the time is over."""
    import time

    from skerry.adapters import acts
    from skerry.cli import object_access
    from skerry.core import errors, intents, rollout

    store, end, revision = object_access.store_of(state), time.monotonic() + timeout, 0
    while True:
        row = _row(thing := store.get("ModelRollout", name))
        status = rollout.from_json(name, thing.status)
        begun = intents.attempt(acts.known(thing)) == status.attempt  # else what stands there is of the one before
        if begun and (row["phase"] == phase or status.terminal):
            output.say(f"{name}: {row['phase']}: {row['reason']}")
            raise SystemExit(0 if row["phase"] == phase else 1)
        if (left := end - time.monotonic()) <= 0:
            raise errors.DeadlineError(f"{name} is {row['phase']}, not {phase}, after {timeout:g} s: {row['reason']}")
        _, revision = store.changes(revision, timeout_s=min(1.0, left), kinds=["ModelRollout"])


_attempt = click.option(
    "--attempt", type=click.IntRange(1), help="Only if this attempt still stands, as `rollout status` tells it."
)


@rollout.command()
@click.argument("name")
@_attempt
@state_option
def pause(name: str, attempt: int | None, state: Path) -> None:
    """Hold a rollout: no node is moved on, none is moved back."""
    from skerry.core import intents

    _act(state, name, "pause", lambda known: intents.pause(known, intents.Seen(attempt)))


@rollout.command()
@click.argument("name")
@_attempt
@state_option
def resume(name: str, attempt: int | None, state: Path) -> None:
    """Let a paused rollout go on."""
    from skerry.core import intents

    _act(state, name, "resume", lambda known: intents.resume(known, intents.Seen(attempt)))


@rollout.command()
@click.argument("name")
@_attempt
@state_option
def abort(name: str, attempt: int | None, state: Path) -> None:
    """Take a rollout back, in whatever wave it is: every node returns to the stable version."""
    from skerry.core import intents

    _act(state, name, "abort", lambda known: intents.abort(known, intents.Seen(attempt)))


@rollout.command()
@click.argument("name")
@click.option("--wave", help="The wave to pass. Without it the command tells which one stands, and passes none.")
@_attempt
@state_option
def promote(name: str, wave: str | None, attempt: int | None, state: Path) -> None:
    """Pass one wave without waiting for evidence: the one you have seen. If another one stands by now, nothing is
    done."""
    from skerry.core import intents

    _act(state, name, "promote", lambda known: intents.promote(known, intents.Seen(attempt, wave)))


@rollout.command()
@click.argument("name")
@_attempt
@state_option
def retry(name: str, attempt: int | None, state: Path) -> None:
    """Try a rollout again that ended without success."""
    from skerry.cli import object_access
    from skerry.core import intents

    token = object_access.suffix()
    _act(state, name, "retry", lambda known: intents.retry(known, token, intents.Seen(attempt)))


def _act(state: Path, name: str, done: str, intent: "Callable[[intents.Known], intents.Patch]") -> None:
    from skerry.cli import acting, object_access

    acting.on(object_access.store_of(state)).change(done, "ModelRollout", name, intent)
    output.say(f"{done} of {name} is requested: `skerry rollout status {name}`")
