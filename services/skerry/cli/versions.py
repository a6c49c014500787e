"""`skerry versions`: what each version is, what became of its network on the way to the nodes, and who signed it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import listing, output
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects
    from skerry.core.manifest import Manifest


@click.group(cls=listing.ListingGroup)
@click.pass_context
@click.option("--model", default="", help="Only versions of this model.")
@output.json_option
@state_option
def versions(ctx: click.Context, model: str, as_json: bool, state: Path) -> None:
    """List versions; show what one is."""
    if ctx.invoked_subcommand is None:
        _list(model, as_json, state)


@versions.command("list")
@click.option("--model", default="", help="Only versions of this model.")
@output.json_option
@state_option
def list_(model: str, as_json: bool, state: Path) -> None:
    """List versions, newest last."""
    _list(model, as_json, state)


def _list(model: str, as_json: bool, state: Path) -> None:
    from skerry.cli import object_access

    store = object_access.store_of(state)
    found = [one for one in store.list("ModelVersion") if model in ("", one.spec.get("model"))]
    stable = {str(one.status.get("stableVersion", "")) for one in store.list("EdgeModel")}
    rows = [_row(one, one.name in stable) for one in object_access.oldest_first(found)]
    now = object_access.now_ms()
    empty = f"there is no version of {model} yet" if model else "there is no version yet"
    output.show(
        as_json, rows, lambda listed: _table(listed, now), f"{empty}: `skerry retrain` or `skerry models import`"
    )


def _row(version: "Object", stable: bool) -> dict[str, Any]:
    from skerry.cli import object_access
    from skerry.core import compression_report

    known = compression_report.checked(version.spec.get("compression")) or {}
    available = object_access.condition(version, "Available")
    return {
        "name": version.name,
        "model": version.spec.get("model"),
        "stable": stable,
        "source": version.spec.get("source", "Trained"),
        "scheme": known.get("scheme"),
        "networkBytes": known.get("networkBytes"),
        "wireBytes": known.get("wireBytes") or version.spec.get("sizeBytes"),
        "available": available.get("status", "Unknown"),
        "reason": available.get("message", ""),
        "createdUnixMs": version.created_unix_ms,
    }


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "versions",
        ["version", "stable", "source", "scheme", "network", "download", "published", "age"],
        (
            [
                row["name"],
                "stable" if row["stable"] else "",
                row["source"],
                row["scheme"] or output.DASH,
                output.size(row["networkBytes"]),
                output.size(row["wireBytes"]),
                "yes" if row["available"] == "True" else row["reason"] or "no",
                output.age(row["createdUnixMs"], now),
            ]
            for row in rows
        ),
    )


@versions.command()
@click.argument("version")
@output.json_option
@state_option
def show(version: str, as_json: bool, state: Path) -> None:
    """Show VERSION (like press-v3): what was tried to make it small, its layers, sizes, gates and signatures."""
    from skerry.cli import object_access, version_text

    store = object_access.store_of(state)
    told = _report(store, store.get("ModelVersion", version), state)
    if as_json:
        output.print_json(told)
    else:
        version_text.show(told)


def _report(store: "Objects", version: "Object", state: Path) -> dict[str, Any]:
    from skerry.core import errors, version_report

    run: Mapping[str, Any] | None = None
    if name := str(version.spec.get("run") or ""):
        try:
            run = store.get("TrainingRun", name).spec
        except errors.NotFoundError:
            run = None
    told = version_report.report(version.name, version.spec, version.status, run, _stored(version, state))
    return {**told, "signatures": [_signature(version, state)]}


def _stored(version: "Object", state: Path) -> "tuple[Manifest, int] | str":
    """The manifest with its size, or why it cannot be had."""
    from skerry.adapters import blobs
    from skerry.cli import system_file
    from skerry.core import errors, manifest

    try:
        opened = blobs.open_blobs(system_file.read(state).blobs)
        data = blobs.fetch(opened, str(version.spec.get("digest", "")), manifest.MAX_BYTES)
        return manifest.from_json(data), len(data)
    except errors.NotFoundError:
        return "its manifest is gone"
    except errors.SkerryError as exc:
        return f"its manifest cannot be read: {exc}"


def _signature(version: "Object", state: Path) -> dict[str, Any]:
    """By the model repository's own metadata, its signatures checked."""
    from skerry.adapters import blobs
    from skerry.adapters.trust import repository
    from skerry.cli import system_file
    from skerry.core import errors, version_report

    path = str(version.spec.get("targetPath", ""))
    try:
        reader = repository.Repository(blobs.open_shared(system_file.read(state).repository), {})
        signed = reader.find_version(path)
        if signed.digest != version.spec.get("digest"):
            note = f"WRONG: the repository has {signed.digest} under this path"
            return version_report.signature(path, None, note)
        keys = reader.keys_of(path.partition("/")[0])
        return version_report.signature(path, keys, f"checked: {len(signed.files)} files by their digests")
    except errors.SkerryError as exc:
        return version_report.signature(path, None, f"not checked: {exc}")
