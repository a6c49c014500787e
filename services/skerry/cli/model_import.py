"""`skerry models import`: a finished network becomes a version, signed and rolled out. Of a classifier its labels are
given; a forecaster is described by its EdgeModel, and calibrated and judged on a series that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output, series_options, series_report
from skerry.cli.up import state_option
from skerry.core import errors

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects
    from skerry.cli.importing.forecaster import JudgedVersion
    from skerry.cli.importing.network import PreparedVersion
    from skerry.cli.system_file import Description
    from skerry.core import specs
    from skerry.core.preprocessing import Step
    from skerry.core.tasks import Forecast

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("path", type=_FILE)
@click.option("--name", required=True, help="The model's name.")
@click.option(
    "--labels", default="", help="Classifiers: class names, separated by commas, or a file with one per line."
)
@click.option(
    "--golden",
    type=_FILE,
    help="npz with a few real inputs, one array per input of the network, the batch axis first (default of a "
    "forecaster: rows of its holdout).",
)
@click.option(
    "--preprocess",
    type=_FILE,
    help="JSON list of preprocessing steps, applied to what callers send (the golden inputs are such).",
)
@click.option("--temperature", type=click.FloatRange(0.01, 100.0), help="Classifiers: calibration (default: 1).")
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0),
    help="Hard below this (default: 0; of a forecaster measured on its holdout).",
)
@click.option("--output", "output_name", default="", help="The output that answers (default: the first that can).")
@click.option(
    "--probabilities/--logits",
    "are_probabilities",
    default=None,
    help="Classifiers: what the network answers with (default: seen from the golden inputs).",
)
@click.option(
    "--holdout",
    type=click.Path(exists=True, path_type=Path),
    help="Forecasters: a CSV or parquet table with a column of times that the network was not trained on; it is "
    "calibrated and judged on it.",
)
@click.option(
    "--trained-until",
    default="",
    help="Forecasters: the last time that the network was trained on, written as in the table; windows that begin "
    "before it, or too near, are left out.",
)
@series_options.row_options
@series_options.series_options
@output.json_option
@state_option
def import_(
    path: Path,
    name: str,
    labels: str,
    golden: Path | None,
    preprocess: Path | None,
    temperature: float | None,
    threshold: float | None,
    output_name: str,
    are_probabilities: bool | None,
    as_json: bool,
    state: Path,
    **of_table: Any,
) -> None:
    """Publish, sign and roll out a finished network: one ONNX file without external data, batch axis free.

    A classifier needs --labels and --golden. A forecaster needs its EdgeModel (`skerry models apply`, task: Forecast)
    and --holdout: it is refused unless it passes the gates there, as a version that is trained.

    The same file a second time makes no second version: it is rolled out again, or rolled back to when it is older than
    the stable one.
    """
    from skerry.cli import object_access, system_file
    from skerry.cli.importing import network, publish, wanted
    from skerry.core.gates import Verdict
    from skerry.core.tasks import Classification, Forecast

    system, store = system_file.read(state), object_access.store_of(state)
    model, steps = publish.edge_model(store, name), network.steps(preprocess)
    told: Mapping[str, Any]
    verdict: Verdict | None = None
    if model is not None and isinstance(model.task, Forecast):
        _check_forecaster(model.name, labels, temperature, are_probabilities, of_table["holdout"])
        described = _Described(path, golden, model, model.task, steps, threshold, output_name)
        judged, told = _forecaster(described, system, store, of_table)
        prepared, verdict = judged.prepared, judged.verdict
    else:
        _check_classifier(name, labels, golden, of_table, is_new=model is None)
        assert golden is not None  # as checked
        names = network.labels(labels)
        said = wanted.Wanted(
            model=name,
            task=Classification(names),
            width=f"{len(names)} labels are given",
            temperature=1.0 if temperature is None else temperature,
            threshold=threshold or 0.0,
            steps=steps,
            output=output_name,
            outputs="" if are_probabilities is None else "probabilities" if are_probabilities else "logits",
        )
        prepared = network.prepare(path, golden, said)
        told = {"classes": list(names), "answers": prepared.manifest.confidence.outputs.value}
    published = publish.publish(system, store, prepared, verdict)
    version = published.version
    rollout, why_not = ("", "") if published.is_new else _roll_out_again(store, version)
    result: Mapping[str, Any] = {
        "version": version.name,
        "digest": version.spec["digest"],
        "output": prepared.manifest.outputs[0].name,
        **told,
        "isNew": published.is_new,
        "rollout": rollout,
        "whyNot": why_not,
    }
    if as_json:
        output.print_json(result)
    else:
        _say(result, version, prepared)


@dataclass(frozen=True, slots=True)
class _Described:
    """A forecaster as its EdgeModel and the options describe it. `threshold` None: it is measured."""

    path: Path
    golden: Path | None
    model: "specs.EdgeModel"
    forecast: "Forecast"
    steps: tuple["Step", ...]
    threshold: float | None
    output: str


def _check_classifier(
    name: str, labels: str, golden: Path | None, of_table: Mapping[str, Any], *, is_new: bool
) -> None:
    """Raises InputError for what a classifier lacks, or has no use for."""
    if is_new and not labels:
        raise errors.InputError(
            f"there is no EdgeModel {name}: a classifier needs its classes (--labels); a forecaster is described "
            "before, in a file with `task: Forecast` (`skerry models apply FILE`)"
        )
    series_options.refuse(of_table, name, "the table of a forecaster's holdout")
    if not labels or golden is None:
        option = "--golden" if labels else "--labels"
        raise errors.InputError(f"model {name} answers classes: its import needs {option} too")


def _check_forecaster(
    name: str, labels: str, temperature: float | None, are_probabilities: bool | None, holdout: Path | None
) -> None:
    """Raises InputError for what a forecaster lacks, or has no use for."""
    of_classes = {
        "--labels": bool(labels),
        "--temperature": temperature is not None,
        "--probabilities": are_probabilities is True,
        "--logits": are_probabilities is False,
    }
    if given := [option for option, is_given in of_classes.items() if is_given]:
        raise errors.InputError(
            f"{given[0]} is for classes, and EdgeModel {name} forecasts a series (task): leave it out"
        )
    if holdout is None:
        raise errors.InputError(
            f"EdgeModel {name} forecasts a series: give a table that the network was not trained on (--holdout), by "
            "which it is calibrated and judged"
        )


def _forecaster(
    described: _Described, system: "Description", store: "Objects", of_table: Mapping[str, Any]
) -> tuple["JudgedVersion", dict[str, Any]]:
    """(the version, what is told of it). Raises RejectedError when it does not pass the gates; one that is known by its
    digest has passed them."""
    from skerry.adapters import blobs
    from skerry.cli.importing import forecaster, publish, series, sources
    from skerry.core.datasets import Input

    model, forecast, table = described.model, described.forecast, of_table["holdout"]
    series_options.check(sources.guess(table, "a holdout is a table, .csv or .parquet"), of_table, model.name, None)
    choices = series_options.choices(of_table, holdout_share=None)
    row = Input(model.input.name, model.input.datatype, model.input.shape)
    found, opened = series.read(table, choices, forecast, row), blobs.open_blobs(system.blobs)
    said = forecaster.wanted(model, forecast, described.steps, described.threshold, described.output)
    judged = forecaster.prepare(
        described.path,
        described.golden,
        said,
        forecaster.held_out(found),
        model,
        publish.stable(store, opened, model.name),
        described.threshold,
    )
    version = judged.prepared.manifest
    publish.check_interface(store, opened, version)
    if publish.known(store, model.name, version.digest) is None:
        forecaster.check(judged, described.path, table)
    return judged, {"answers": "forecasts", **series_report.judged(found, forecast, judged)}


def _say(result: Mapping[str, Any], version: "Object", prepared: "PreparedVersion") -> None:
    signed = "is signed" if result["isNew"] else "was imported before"
    output.say(
        f"{version.name} {signed} ({output.short(version.spec['digest'])}, {output.size(version.spec['sizeBytes'])})"
    )
    passed_over = prepared.passed_over
    others = f" (not {', '.join(passed_over)}; --output chooses)" if passed_over else ""
    answers = prepared.manifest.task if "holdout" in result else result["answers"]
    output.say(f"output {result['output']!r} answers{others}, with {answers}")
    if "holdout" in result:
        series_report.show_judged(result)
    if result["isNew"]:
        output.say("the controller publishes it and rolls it out: `skerry rollout list`, `skerry nodes`")
    elif result["rollout"]:
        output.say(f"rollout {result['rollout']} is requested: `skerry rollout status {result['rollout']}`")
    else:
        output.say(f"nothing is rolled out: {result['whyNot']}")


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
