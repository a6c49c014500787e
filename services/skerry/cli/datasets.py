"""`skerry datasets import`: labelled data, or series with a time column, becomes a dataset by digest, and the EdgeModel
names it as its base."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import acting, output, series_options, series_report, system_file
from skerry.cli.up import state_option

if TYPE_CHECKING:
    from skerry.cli.importing import dataset
    from skerry.core.series.conversion import ForecastRows

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
    help="Share of each class kept as holdout, of series their last share; nothing trains on it.",
)
@click.option(
    "--labels",
    default="",
    help="Class names in the order in which numbers count as labels (default: the model's, unless a number could be a "
    "name as well).",
)
@click.option("--label-column", help="Tables: the column with the label.")
@series_options.row_options
@series_options.series_options
@click.option("--resize", is_flag=True, help="Images: scale to the model's input.")
@click.option("--drop-nonfinite", is_flag=True, help="Leave out rows with NaN or infinity instead of refusing.")
@click.option(
    "--may-leave",
    is_flag=True,
    help="Rows of PATH may go to every node, in the self-test of a version, though the model's privacy keeps rows in.",
)
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
    group: str,
    resize: bool,
    drop_nonfinite: bool,
    may_leave: bool,
    as_json: bool,
    state: Path,
    **of_series: Any,
) -> None:
    """Import PATH as the base dataset of a model.

    \b
    npz      arrays x [n, ...] and y [n] (indices or names); holdout [n] bool says which rows are holdout
    images   a folder with one folder of images per class
    csv, parquet   rows, or windows of --window rows labeled by their last row; also a folder of parts

    For a model that forecasts, a table is one series or several, with a column of times: windows by the clock, and the
    last share of the time as holdout. What is left out is counted by reason.
    """
    from skerry.adapters import blobs, objects
    from skerry.cli.importing import dataset, series, sources, tables

    system = system_file.read(state)
    store = objects.open_objects(system.objects)
    wanted = dataset.target(store.get("EdgeModel", model))
    kind = sources.guess(path, "name it with --format") if kind == "auto" else kind
    found: ForecastRows | None = None
    if (forecast := wanted.forecast) is not None:
        series_options.check(kind, of_series, model, label_column or labels)
        shared = {"features": features, "group": group, "window": window, "stride": stride}
        choices = series_options.choices(of_series, **shared, holdout_share=holdout)
        found = series.read(path, choices, forecast, wanted.row)
        prepared = dataset.prepare_forecast(found, wanted, time_zone=choices.time_zone)
    else:
        series_options.refuse(of_series, model)
        shape = tables.Shape(label_column, features, window, stride, group) if label_column else None
        data = sources.read(path, kind, wanted.row, shape, resize=resize)
        classes = [name.strip() for name in labels.split(",") if name.strip()]
        prepared = dataset.prepare(data, wanted, dataset.Choices(classes, holdout, drop_nonfinite))
    blob_store, now_unix_ms = blobs.open_blobs(system.blobs), int(time.time() * 1000)
    prepared = replace(prepared, may_leave=may_leave)
    imported = dataset.store(prepared, wanted, blob_store=blob_store, acts=acting.on(store), now_unix_ms=now_unix_ms)
    for note in imported.notes:
        output.say(f"note: {note}", err=True)
    _print(imported, found, wanted.min_holdout, as_json)


def _print(imported: "dataset.Imported", found: "ForecastRows | None", min_holdout: int, as_json: bool) -> None:
    manifest = imported.manifest
    counts = {role: manifest.samples(role) for role in ("train", "holdout")}
    if as_json:
        document = {"digest": imported.digest, **counts, "dropped": dict(manifest.dropped)}
        document |= {"windows": dict(imported.windows)} if imported.windows else {}
        output.print_json(document | ({} if found is None else series_report.document(found)))
        return
    what = "" if found is None else f", for {manifest.task}"
    output.say(f"dataset {imported.digest} of {manifest.model}{what}")
    if found is None:
        _print_classes(imported, counts)
    else:
        series_report.show(found)
    if counts["holdout"] < min_holdout:
        output.say(
            f"the gates ask for a holdout of {min_holdout} (gates.minHoldout): with fewer rows no version passes"
        )


def _print_classes(imported: "dataset.Imported", counts: Mapping[str, int]) -> None:
    manifest = imported.manifest
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
