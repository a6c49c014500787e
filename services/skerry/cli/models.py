"""`skerry models`: list what is served, describe a model that learns, import a finished network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from skerry.cli import output
from skerry.cli.up import state_option


@click.group(invoke_without_command=True)
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

    store = object_access.store_of(state)
    nodes, now, rows = store.list("EdgeNode"), object_access.now_ms(), []
    versions = store.list("ModelVersion")
    for model in store.list("EdgeModel"):
        stable = model.status.get("stableVersion", "")
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
            available = object_access.condition(version, "Available") if version else {}
            rows.append(
                {
                    "model": model.name,
                    "version": version.name if version else "",
                    "stable": version is not None and version.name == stable,
                    "digest": digest,
                    "source": version.spec["source"] if version else "",
                    "sizeBytes": version.spec.get("sizeBytes") if version else None,
                    "available": available.get("status", "Unknown"),
                    "reason": available.get("message", ""),
                    "nodes": holders,
                    "createdUnixMs": version.created_unix_ms if version else model.created_unix_ms,
                }
            )
    output.show(
        as_json, rows, lambda listed: _table(listed, now), "there is no model yet: `skerry models apply` or import"
    )


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "models",
        ["model", "version", "stable", "source", "size", "published", "serving on", "age"],
        (
            [
                row["model"],
                row["version"] or "none yet",
                "stable" if row["stable"] else "",
                row["source"],
                output.size(row["sizeBytes"]),
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
    """Create or change an EdgeModel from a YAML or JSON file with `name` and `spec`.

    What the file does not name keeps its value; a null removes it.
    """
    from skerry.cli import model_file, object_access

    name, spec = model_file.read(path)
    outcome = model_file.apply(object_access.store_of(state), name, spec)
    click.echo(f"EdgeModel {name} {outcome}")


@models.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="The model's name.")
@click.option("--labels", required=True, help="Class names, separated by commas, or a file with one per line.")
@click.option(
    "--golden",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="npz with a few real inputs, one array per input of the network, the batch axis first.",
)
@click.option(
    "--preprocess",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON list of preprocessing steps, applied to what callers send (the golden inputs are such).",
)
@click.option("--temperature", default=1.0, show_default=True, type=click.FloatRange(0.01, 100.0), help="Calibration.")
@click.option("--threshold", default=0.0, show_default=True, type=click.FloatRange(0.0, 1.0), help="Hard below this.")
@output.json_option
@state_option
def import_(
    path: Path,
    name: str,
    labels: str,
    golden: Path,
    preprocess: Path | None,
    temperature: float,
    threshold: float,
    as_json: bool,
    state: Path,
) -> None:
    """Publish, sign and roll out a finished network: one ONNX file without external data, batch axis free."""
    from skerry.cli import object_access, system_file
    from skerry.cli.importing import network, publish

    wanted = network.Wanted(name, network.labels(labels), temperature, threshold, network.steps(preprocess))
    prepared = network.prepare(path, golden, wanted)
    store = object_access.store_of(state)
    version = publish.publish(system_file.read(state), store, prepared)
    result: Mapping[str, Any] = {
        "version": version.name,
        "digest": version.spec["digest"],
        "classes": list(wanted.labels),
    }
    if as_json:
        output.print_json(result)
        return
    click.echo(
        f"{version.name} is signed ({output.short(version.spec['digest'])}, {output.size(version.spec['sizeBytes'])})"
    )
    click.echo("the controller publishes it and rolls it out: `skerry rollout list`, `skerry nodes`")
