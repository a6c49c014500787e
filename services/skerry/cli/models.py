"""`skerry models`: list what is served, describe a model that learns, import a finished network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import listing, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects


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

    store = object_access.store_of(state)
    nodes, now, rows = store.list("EdgeNode"), object_access.now_ms(), []
    versions = store.list("ModelVersion")
    notes = []
    for model in store.list("EdgeModel"):
        stable = model.status.get("stableVersion", "")
        labels = object_access.condition(model, label_backlog.CONDITION)
        if labels.get("status") == "False" or labels.get("reason") == "SetAside":
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
    """Create or change an EdgeModel from a YAML or JSON file with `name` and `spec`, or a resource for kubectl.

    What the file does not name keeps its value; a null removes it.
    """
    from skerry.cli import model_file, object_access

    name, spec = model_file.read(path)
    outcome = model_file.apply(object_access.store_of(state), name, spec)
    output.say(f"EdgeModel {name} {outcome}")


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
@click.option("--output", "output_name", default="", help="The output that answers (default: the first that can).")
@click.option(
    "--probabilities/--logits",
    "are_probabilities",
    default=None,
    help="What the network answers with (default: seen from the golden inputs).",
)
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
    output_name: str,
    are_probabilities: bool | None,
    as_json: bool,
    state: Path,
) -> None:
    """Publish, sign and roll out a finished network: one ONNX file without external data, batch axis free.

    The same file a second time makes no second version: it is rolled out again, or rolled back to when it is older than
    the stable one.
    """
    from skerry.cli import object_access, system_file
    from skerry.cli.importing import network, publish, wanted

    outputs = "" if are_probabilities is None else "probabilities" if are_probabilities else "logits"
    said = wanted.Wanted(
        name, network.labels(labels), temperature, threshold, network.steps(preprocess), output_name, outputs
    )
    prepared = network.prepare(path, golden, said)
    store = object_access.store_of(state)
    published = publish.publish(system_file.read(state), store, prepared)
    version, answers = published.version, prepared.manifest.confidence.outputs.value
    rollout, why_not = ("", "") if published.is_new else _roll_out_again(store, version)
    result: Mapping[str, Any] = {
        "version": version.name,
        "digest": version.spec["digest"],
        "classes": list(said.labels),
        "output": prepared.manifest.outputs[0].name,
        "answers": answers,
        "isNew": published.is_new,
        "rollout": rollout,
        "whyNot": why_not,
    }
    if as_json:
        output.print_json(result)
        return
    signed = "is signed" if published.is_new else "was imported before"
    output.say(
        f"{version.name} {signed} ({output.short(version.spec['digest'])}, {output.size(version.spec['sizeBytes'])})"
    )
    others = f" (not {', '.join(prepared.passed_over)}; --output chooses)" if prepared.passed_over else ""
    output.say(f"output {result['output']!r} answers{others}, with {answers}")
    if published.is_new:
        output.say("the controller publishes it and rolls it out: `skerry rollout list`, `skerry nodes`")
    elif rollout:
        output.say(f"rollout {rollout} is requested: `skerry rollout status {rollout}`")
    else:
        output.say(f"nothing is rolled out: {why_not}")


def _roll_out_again(store: "Objects", version: "Object") -> tuple[str, str]:
    """(the rollout of a version that was there already, why there is none)."""
    from skerry.cli import object_access
    from skerry.core import errors, intents, specs

    model = store.get("EdgeModel", version.spec["model"])
    if not specs.parse_edge_model(model.name, model.spec).rollout.automatic:
        return (
            "",
            f"{model.name} is not rolled out by itself (rollout.automatic): `skerry rollout start {version.name}`",
        )
    rollouts = [thing for thing in store.list("ModelRollout") if thing.spec.get("model") == model.name]
    try:
        creation = intents.roll_out_again(
            model.name,
            str(model.status.get("stableVersion", "")),
            model.spec.get("rollout", {}),
            version.name,
            object_access.published(store, model.name),
            [object_access.known(thing) for thing in rollouts],
            object_access.suffix(),
        )
    except errors.RejectedError as exc:
        return "", str(exc)
    return object_access.create(store, creation).name, ""
