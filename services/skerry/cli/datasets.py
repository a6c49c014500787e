"""`skerry datasets import`: labelled data becomes a dataset by digest, and the EdgeModel names it as its base."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skerry.cli import output, system_file
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.cli.importing import dataset

_GROUPS_SHOWN = 20
_FORMATS = ("auto", "npz", "images", "csv", "parquet")


@click.group()
def datasets() -> None:
    """Import labelled data."""


@datasets.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The EdgeModel that the data is for.")
@click.option(
    "--format", "kind", type=click.Choice(_FORMATS), default="auto", show_default=True, help="How to read PATH."
)
@click.option(
    "--holdout",
    default=0.3,
    show_default=True,
    type=float,
    help="Share of each class kept as holdout; nothing trains on it.",
)
@click.option(
    "--labels",
    default="",
    help="Class names in the order in which numbers count as labels (default: the model's, unless a number could be a "
    "name as well).",
)
@click.option("--label-column", help="Tables: the column with the label.")
@click.option("--feature", "features", multiple=True, help="Tables: a feature column (repeat; default: all others).")
@click.option("--window", default=0, type=click.IntRange(0), help="Tables: rows per sample (default: each row is one).")
@click.option("--stride", default=1, show_default=True, type=click.IntRange(1), help="Tables: rows between windows.")
@click.option("--group-column", default="", help="Tables: the column that tells machines apart; no window holds two.")
@click.option("--resize", is_flag=True, help="Images: scale to the model's input.")
@click.option("--drop-nonfinite", is_flag=True, help="Leave out rows with NaN or infinity instead of refusing.")
@output.json_option
@state_option
def import_(
    path: Path,
    model: str,
    kind: str,
    holdout: float,
    labels: str,
    label_column: str | None,
    features: tuple[str, ...],
    window: int,
    stride: int,
    group_column: str,
    resize: bool,
    drop_nonfinite: bool,
    as_json: bool,
    state: Path,
) -> None:
    """Import PATH as the base dataset of a model.

    \b
    npz      arrays x [n, ...] and y [n] (indices or names); holdout [n] bool says which rows are holdout
    images   a folder with one folder of images per class
    csv, parquet   rows, or windows of --window rows labeled by their last row; also a folder of parts
    """
    from skerry.adapters import blobs, objects
    from skerry.cli.importing import dataset, sources, tables

    system = system_file.read(state)
    store = objects.open_objects(system.objects)
    wanted = dataset.target(store.get("EdgeModel", model))
    shape = tables.Shape(label_column, features, window, stride, group_column) if label_column else None
    data = sources.read(path, sources.guess(path) if kind == "auto" else kind, wanted.row, shape, resize=resize)
    choices = dataset.Choices([name.strip() for name in labels.split(",") if name.strip()], holdout, drop_nonfinite)
    imported = dataset.store(
        data,
        wanted,
        choices,
        blob_store=blobs.open_blobs(system.blobs),
        objects=store,
        now_unix_ms=int(time.time() * 1000),
    )
    for note in imported.notes:
        output.say(f"note: {note}", err=True)
    _print(imported, wanted.min_holdout, as_json)


def _print(imported: "dataset.Imported", min_holdout: int, as_json: bool) -> None:
    manifest = imported.manifest
    counts = {role: manifest.samples(role) for role in ("train", "holdout")}
    if as_json:
        document = {"digest": imported.digest, **counts, "dropped": dict(manifest.dropped)}
        output.print_json(document | ({"windows": dict(imported.windows)} if imported.windows else {}))
        return
    output.say(f"dataset {imported.digest} of {manifest.model}")
    per_class = {
        role: [sum(column) for column in zip(*(part.per_class for part in manifest.select(role)), strict=True)]
        for role in ("train", "holdout")
    }
    rows = zip(manifest.class_names, per_class["train"], per_class["holdout"], strict=True)
    output.print_table("samples", ["class", f"train {counts['train']:,}", f"holdout {counts['holdout']:,}"], rows)
    if imported.windows:
        output.say(f"windows by group: {_windows_by_group(imported.windows)}")
    for reason, count in manifest.dropped.items():
        output.say(f"left out: {count} ({reason})")
    if counts["holdout"] < min_holdout:
        output.say(
            f"the gates ask for a holdout of {min_holdout} (gates.minHoldout): with fewer rows no version passes"
        )


def _windows_by_group(windows: Mapping[str, int]) -> str:
    """Every group with its windows as far as they can be read; groups that gave none always."""
    shown = [f"{name} {count}" for name, count in windows.items() if count][:_GROUPS_SHOWN]
    more = sum(bool(count) for count in windows.values()) - len(shown)
    none = [name for name, count in windows.items() if not count]
    text = ", ".join(shown) + (f" and {more} more" if more else "")
    if none:
        text += f"; too few rows for a window: {', '.join(none[:_GROUPS_SHOWN])}"
        text += f" and {len(none) - _GROUPS_SHOWN} more" if len(none) > _GROUPS_SHOWN else ""
    return text
