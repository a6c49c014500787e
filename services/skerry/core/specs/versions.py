"""ModelVersion.spec and TrainingRun.spec."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from skerry.core.specs.model import RetrainSpec, parse_retrain, retrain_fields
from skerry.core.specs.reader import Reader, read
from skerry.core.specs.template import JobTemplate, template_fields

SOURCES = ("Trained", "Imported")
MODES = ("Standard",)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """ModelVersion.spec, immutable. `version` is the release counter; `digest` is that of the canonical manifest."""

    name: str
    model: str
    version: int
    digest: str
    target_path: str
    source: str = "Trained"
    run: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """TrainingRun.spec. `overrides` holds fields of EdgeModel.spec.retrain, checked. `template`: how its job runs;
    None: as the EdgeModel says. `suspend`: the job is to wait."""

    name: str
    model: str
    dataset_digest: str
    base_version: str
    reason: str
    mode: str
    overrides: Mapping[str, Any]
    template: JobTemplate | None = None
    suspend: bool = False

    def retrain(self, policy: Mapping[str, Any]) -> RetrainSpec:
        """EdgeModel.spec.retrain as given, with this run's overrides on top and its template, if it has one, in the
        place of the model's. Raises InputError."""
        spec = parse_retrain({**policy, **self.overrides}, self.model)
        return spec if self.template is None else replace(spec, template=self.template)


def parse_model_version(name: str, spec: Mapping[str, Any]) -> ModelVersion:
    """Raises InputError naming the field."""
    return read("ModelVersion", name, "spec", spec, lambda reader: _version(name, reader))


def parse_training_run(name: str, spec: Mapping[str, Any]) -> TrainingRun:
    """Raises InputError naming the field."""
    return read("TrainingRun", name, "spec", spec, lambda reader: _run(name, reader))


def _version(name: str, reader: Reader) -> ModelVersion:
    reader.mapping("verdict", {})
    reader.mapping("runtime", {})
    reader.mapping("compression", {})
    return ModelVersion(
        name=name,
        model=reader.name("model"),
        version=reader.integer("version", None, 1),
        digest=reader.digest("digest"),
        target_path=reader.text("targetPath", None, limit=512),
        source=reader.text("source", "Trained", among=SOURCES),
        run=reader.text("run", "", limit=253),
        size_bytes=reader.integer("sizeBytes", 0),
    )


def _run(name: str, reader: Reader) -> TrainingRun:
    overrides = reader.mapping("overrides", {})
    if "template" in overrides:
        raise reader.fault("overrides.template", "is no override: set spec.template")
    read("TrainingRun", name, "spec.overrides", overrides, retrain_fields)
    return TrainingRun(
        name=name,
        model=reader.name("model"),
        dataset_digest=reader.digest("datasetDigest"),
        base_version=reader.text("baseVersion", "", limit=120),
        reason=reader.text("reason", ""),
        mode=reader.text("mode", "Standard", among=MODES),
        overrides=overrides,
        template=reader.inner("template", template_fields) if reader.has("template") else None,
        suspend=reader.flag("suspend", False),
    )
