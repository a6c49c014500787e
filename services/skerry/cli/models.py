"""`skerry models`: list what is served, describe a model that learns, import a finished network."""

from pathlib import Path
from typing import Any

import click

from skerry.cli import listing, model_import, output
from skerry.cli.up import state_option


@click.group(cls=listing.ListingGroup)
@click.pass_context
@output.json_option
@state_option
def models(ctx: click.Context, as_json: bool, state: Path) -> None:
    """List models and their versions; describe and import models."""
    if ctx.invoked_subcommand is None:
        _list(as_json, state)


@models.command("list")
@output.json_option
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List models and their versions."""
    _list(as_json, state)


def _list(as_json: bool, state: Path) -> None:
    from skerry.cli import object_access
    from skerry.core import label_backlog
    from skerry.dashboard import edge_models, queries

    store = object_access.store_of(state)
    nodes, now, rows = store.list("EdgeNode"), object_access.now_ms(), []
    versions = store.list("ModelVersion")
    notes = []
    described = store.list("EdgeModel")
    tasks = edge_models.tasks(described)
    for model in described:
        task = tasks.get(model.name)  # None where its spec cannot be read, as its condition says
        stable = model.status.get("stableVersion", "")
        labels = object_access.condition(model, label_backlog.CONDITION)
        if labels.get("status") == "False" or labels.get("reason") in label_backlog.TOLD:
            notes.append(f"labels of {model.name}: {labels.get('message', '')}")
        of_model = sorted(
            (version for version in versions if version.spec.get("model") == model.name),
            key=lambda version: int(version.spec["version"]),
        )
        for version in of_model or (None,):
            digest = version.spec["digest"] if version else ""
            holders = [
                node.name
                for node in nodes
                if digest and any(report.get("digest") == digest for report in node.status.get("models", []))
            ]
            gate_numbers = queries.gate_numbers(version.spec.get("verdict")) if version else {}
            available = object_access.condition(version, "Available") if version else {}
            rows.append(
                {
                    "model": model.name,
                    "version": version.name if version else "",
                    "stable": version is not None and version.name == stable,
                    "digest": digest,
                    "source": version.spec["source"] if version else "",
                    "answers": str(task or ""),
                    "quality": task.quality(gate_numbers) if task else "",
                    "sizeBytes": version.spec.get("sizeBytes") if version else None,
                    "available": available.get("status", "Unknown"),
                    "reason": available.get("message", ""),
                    "nodes": holders,
                    "labels": labels.get("reason", ""),
                    "createdUnixMs": version.created_unix_ms if version else model.created_unix_ms,
                }
            )
    output.show(
        as_json, rows, lambda listed: _table(listed, now), "there is no model yet: `skerry models apply` or import"
    )
    for note in () if as_json else notes:
        output.say(note)


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "models",
        ["model", "version", "stable", "source", "size", "on its holdout", "published", "serving on", "age"],
        (
            [
                row["model"],
                row["version"] or "none yet",
                "stable" if row["stable"] else "",
                row["source"],
                output.size(row["sizeBytes"]),
                row["quality"] or output.DASH,
                "yes" if row["available"] == "True" else row["reason"] or "no",
                ", ".join(row["nodes"]) or output.DASH,
                output.age(row["createdUnixMs"], now),
            ]
            for row in rows
        ),
    )


@models.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@state_option
def apply(path: Path, state: Path) -> None:
    """Create or change an EdgeModel from a YAML or JSON file with `name` and `spec`, or a resource for kubectl.

    What the file does not name keeps its value; a null removes it.
    """
    from skerry.cli import acting, model_file, object_access

    name, spec = model_file.read(path)
    store = object_access.store_of(state)
    outcome = model_file.apply(store, acting.on(store), name, spec)
    output.say(f"EdgeModel {name} {outcome}")


models.add_command(model_import.import_)
