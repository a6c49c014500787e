"""`skerry retrain` and `skerry runs`: ask for training runs, and see what became of them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import listing, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects

_WAIT_S = 3600.0
_MOST_NUMBERS = 12  # of a gate


@click.command()
@click.argument("model")
@click.option("--dataset", default="", help="Digest of the dataset to train on (default: the newest).")
@click.option("--reason", default="by hand", show_default=True, help="Kept with the run, for whoever reads it later.")
@click.option("--wait", is_flag=True, help="Return when the run has ended; exit code 1 when it made no version.")
@state_option
def retrain(model: str, dataset: str, reason: str, wait: bool, state: Path) -> None:
    """Train a new version of MODEL; if it passes its gates it is signed, published and rolled out."""
    from skerry.cli import acting, object_access
    from skerry.core import intents

    store = object_access.store_of(state)
    edge_model = store.get("EdgeModel", model)
    creation = intents.retrain(
        model,
        edge_model.spec,
        [(run.name, run.spec, run.status) for run in store.list("TrainingRun")],
        object_access.suffix(),
        dataset=dataset or _newest(state, model, str(edge_model.spec.get("datasetDigest", ""))),
        base=str(edge_model.status.get("stableVersion", "")),
        reason=reason,
    )
    acting.on(store, reason).create(creation, "retrain")
    output.say(f"training run {creation.name} is requested: `skerry runs`")
    if wait:
        _follow(store, creation.name)


def _newest(state: Path, model: str, imported: str) -> str:
    """The curator's newest dataset; empty when it names none: then the imported one is used. Raises UnavailableError
    while it has rows that were captured and did not join them with what was imported last: neither dataset has all."""
    from skerry.adapters import fleetstate
    from skerry.cli import system_file
    from skerry.core import contract, errors, retrain
    from skerry.dashboard import fields

    key = contract.curator_reading(model)
    try:
        readings = fleetstate.open_fleetstate(system_file.read(state).redis).find([key])
    except errors.UnavailableError:
        return ""
    reading = fields.mapping(fields.json_of(readings.get(key, "")))
    newest = retrain.newest_dataset(reading, imported)
    if not newest and reading.get("datasetDigest") and reading.get("captured"):
        alone = f", or train on the import alone with --dataset {imported}" if imported else ""
        raise errors.UnavailableError(
            f"the dataset that was imported for {model} is not yet joined with what was captured: try again in a "
            f"moment{alone}"
        )
    return newest


def _follow(store: "Objects", name: str) -> None:
    from skerry.cli import object_access

    end, version, printed = time.monotonic() + _WAIT_S, 0, ""
    while time.monotonic() < end:
        run = store.get("TrainingRun", name)
        done, running = object_access.condition(run, "Succeeded"), object_access.condition(run, "Running")
        if done.get("status") in ("True", "False"):
            output.say(f"{name}: {done.get('reason')}: {done.get('message')}")
            raise SystemExit(0 if done["status"] == "True" else 1)
        if (reason := str(running.get("reason", ""))) and reason != printed:
            output.say(f"{name}: {reason}")
            printed = reason
        _, version = store.changes(version, timeout_s=1.0, kinds=["TrainingRun"])
    raise SystemExit(1)


@click.group(cls=listing.ListingGroup)
@output.json_option
@state_option
@click.pass_context
def runs(context: click.Context, as_json: bool, state: Path) -> None:
    """List training runs, newest last; `show` tells all of one."""
    if context.invoked_subcommand is None:
        _list(as_json, state)


@runs.command("show")
@click.argument("name")
@output.json_option
@state_option
def show_run(name: str, as_json: bool, state: Path) -> None:
    """Show all of NAME: why it ran, on which data, what it did about rare classes and what that brought, and every
    gate with its reason and numbers."""
    from skerry.cli import object_access

    row = _row(object_access.store_of(state).get("TrainingRun", name))
    output.print_json(row) if as_json else _tell(row)


def _tell(row: dict[str, Any]) -> None:
    output.say(f"{row['name']} of {row['model']}: {row['state']}: {row['message']}")
    for label in ("why", "dataset", "version"):
        output.say(f"  {label:8} {row[label] or output.DASH}")
    balance = next((gate["reason"] for gate in row["gates"] if gate.get("name") == "balance"), "")
    output.say(f"  {'balance':8} {balance or output.DASH}")
    output.print_table(
        "gates",
        ["gate", "outcome", "reason", "numbers"],
        ([gate.get("name"), gate.get("outcome"), gate.get("reason"), _numbers(gate)] for gate in row["gates"]),
    )


def _numbers(gate: Mapping[str, Any]) -> str:
    found = gate.get("numbers") or {}
    return ", ".join(f"{name} {value:.4g}" for name, value in list(found.items())[:_MOST_NUMBERS])


def _list(as_json: bool, state: Path) -> None:
    from skerry.cli import object_access

    runs_found = object_access.oldest_first(object_access.store_of(state).list("TrainingRun"))
    now = object_access.now_ms()
    output.show(
        as_json, [_row(run) for run in runs_found], lambda rows: _table(rows, now), "there is no training run yet"
    )


def _row(run: "Object") -> dict[str, Any]:
    from skerry.cli import object_access

    done, running = object_access.condition(run, "Succeeded"), object_access.condition(run, "Running")
    ended = done.get("status") in ("True", "False")
    return {
        "name": run.name,
        "model": run.spec.get("model"),
        "why": run.spec.get("reason", ""),
        "dataset": run.spec.get("datasetDigest", ""),
        "state": (done if ended else running).get("reason", "Pending"),
        "succeeded": done.get("status", "Unknown"),
        "message": (done if ended else running).get("message", ""),
        "version": run.status.get("version", ""),
        "gates": run.status.get("result", {}).get("verdict", {}).get("gates", []),
        "log": run.status.get("logDigest", ""),
        "createdUnixMs": run.created_unix_ms,
    }


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "training runs",
        ["run", "why", "dataset", "state", "version", "age", "message"],
        (
            [
                row["name"],
                row["why"],
                output.short(row["dataset"]),
                row["state"],
                row["version"] or output.DASH,
                output.age(row["createdUnixMs"], now),
                row["message"],
            ]
            for row in rows
        ),
    )
