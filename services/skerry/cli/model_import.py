"""`skerry models import`: a finished network becomes a version, signed and rolled out. Of a classifier its labels are
given; a forecaster is described by its EdgeModel, and calibrated and judged on a series that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli import output, series_options, series_report
from skerry.cli.up import state_option
from skerry.core import errors

if TYPE_CHECKING:
    from skerry.adapters.objects.protocol import Object, Objects
    from skerry.cli.importing.forecaster import Described
    from skerry.cli.importing.wanted import Wanted
    from skerry.cli.system_file import Description
    from skerry.core.manifest import Manifest
    from skerry.core.specs import EdgeModel
    from skerry.core.tasks import Classification

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

    The same file a second time, described alike, makes no second version: it is rolled out again, or rolled back to
    when it is older than the stable one. A forecaster is not judged again then, whatever its --holdout.
    """
    from skerry.cli import object_access, system_file
    from skerry.cli.importing import forecaster, network, publish, wanted
    from skerry.core.tasks import Forecast

    system, store = system_file.read(state), object_access.store_of(state)
    model, steps = publish.edge_model(store, name), network.steps(preprocess)
    if model is not None and isinstance(model.task, Forecast):
        _check_forecaster(model.name, labels, temperature, are_probabilities, of_table["holdout"])
        described = forecaster.Described(path, golden, model, model.task, steps, threshold, output_name)
        imported = _forecaster(described, system, store, of_table)
    else:
        _check_classifier(name, labels, golden, of_table, is_new=model is None)
        assert golden is not None  # as checked
        outputs = "" if are_probabilities is None else "probabilities" if are_probabilities else "logits"
        names = network.labels(labels)
        said = wanted.Wanted(
            model=name,
            task=_classes_of(model, names),
            width=f"{len(names)} labels are given",
            temperature=1.0 if temperature is None else temperature,
            threshold=threshold or 0.0,
            steps=steps,
            output=output_name,
            outputs=outputs,
        )
        imported = _classifier(path, golden, said, system, store)
    rollout, why_not = ("", "") if imported.is_new else _roll_out_again(store, imported.version)
    result = imported.result | {"rollout": rollout, "whyNot": why_not}
    if as_json:
        output.print_json(result)
    else:
        _say(result, imported)


def _classes_of(model: "EdgeModel | None", names: tuple[str, ...]) -> "Classification":
    """The labels that were given; of a model whose classes were mapped with its class map, so that the version can
    follow one of the former classes."""
    from skerry.core.tasks import Classification

    known = model.task if model is not None else None
    given = Classification(names)
    if not isinstance(known, Classification) or not known.former:
        return given
    return replace(given, former=known.former) if not Classification(known.class_names).change(given) else given


@dataclass(frozen=True, slots=True)
class _Imported:
    """A version, new or there before. `told`: what is said of a model of its task; `passed_over`: outputs that are not
    served."""

    version: "Object"
    is_new: bool
    manifest: "Manifest"
    told: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()

    @property
    def result(self) -> dict[str, Any]:
        return {
            "version": self.version.name,
            "digest": self.version.spec["digest"],
            "output": self.manifest.outputs[0].name,
            **self.told,
            "isNew": self.is_new,
        }


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


def _classifier(path: Path, golden: Path, said: "Wanted", system: "Description", store: "Objects") -> _Imported:
    from skerry.cli.importing import network, publish

    prepared = network.prepare(path, golden, said)
    published, version = publish.publish(system, store, prepared), prepared.manifest
    told = {"classes": list(version.class_names), "answers": version.confidence.outputs.value}
    return _Imported(published.version, published.is_new, version, told, prepared.passed_over)


def _forecaster(
    described: "Described", system: "Description", store: "Objects", of_table: Mapping[str, Any]
) -> _Imported:
    """Raises RejectedError when it does not pass the gates; a version that is there already has passed them."""
    from skerry.adapters import blobs
    from skerry.cli.importing import earlier, forecaster, publish, series, sources
    from skerry.core.datasets import Input

    model, forecast, table = described.model, described.forecast, of_table["holdout"]
    series_options.check(sources.guess(table, "a holdout is a table, .csv or .parquet"), of_table, model.name, None)
    choices = series_options.choices(of_table, holdout_share=None)
    opened, answers = blobs.open_blobs(system.blobs), {"answers": "forecasts"}
    if before := earlier.find(store, opened, described.path, described.wanted, described.threshold):
        publish.check_interface(store, opened, before.manifest)
        told = answers | series_report.earlier(before.manifest)
        return _Imported(before.version, False, before.manifest, told)
    found = series.read(table, choices, forecast, Input(model.input.name, model.input.datatype, model.input.shape))
    stable = publish.stable(store, opened, model.name)
    judged = forecaster.prepare(described, forecaster.held_out(found), stable)
    forecaster.check(judged, described.path, table)
    prepared = judged.prepared
    published = publish.publish(system, store, prepared, judged.verdict)
    told = answers | series_report.judged(found, forecast, judged)
    return _Imported(published.version, published.is_new, prepared.manifest, told, prepared.passed_over)


def _say(result: Mapping[str, Any], imported: _Imported) -> None:
    version, passed_over = imported.version, imported.passed_over
    signed = "is signed" if result["isNew"] else "was imported before"
    output.say(
        f"{version.name} {signed} ({output.short(version.spec['digest'])}, {output.size(version.spec['sizeBytes'])})"
    )
    others = f" (not {', '.join(passed_over)}; --output chooses)" if passed_over else ""
    answers = result["answers"] if imported.manifest.class_names else imported.manifest.task
    output.say(f"output {result['output']!r} answers{others}, with {answers}")
    if "holdout" in result:
        series_report.show_judged(result)
    elif not imported.manifest.class_names:
        output.say("it was judged when it was imported first: the holdout is not looked at again")
    if result["isNew"]:
        output.say("the controller publishes it and rolls it out: `skerry rollout list`, `skerry nodes`")
    elif result["rollout"]:
        output.say(f"rollout {result['rollout']} is requested: `skerry rollout status {result['rollout']}`")
    else:
        output.say(f"nothing is rolled out: {result['whyNot']}")


def _roll_out_again(store: "Objects", version: "Object") -> tuple[str, str]:
    """(the rollout of a version that was there already, why there is none)."""
    from skerry.adapters import acts
    from skerry.cli import acting, object_access
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
            [acts.known(thing) for thing in rollouts],
            object_access.suffix(),
        )
    except errors.RejectedError as exc:
        return "", str(exc)
    return acting.on(store).create(creation, "roll out again").name, ""
