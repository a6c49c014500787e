"""An example without a process: its base is imported by the command, a version is trained, judged and shipped by the
trainer's own cycle, and its file answers the final through the serving runtime."""

import json

from cli_system import StillSystem

from examples import scenario, spans
from examples.client import Answer
from examples.scenario import Scenario
from skerry.adapters import blobs as blob_store
from skerry.cli import model_file
from skerry.core import contract, gates, manifest, specs
from skerry.core.tasks import Forecast
from skerry.trainer import cycle
from skerry.trainer.shipped import Shipped


def model_of(example: Scenario) -> specs.EdgeModel:
    return specs.parse_edge_model(*model_file.read(example.model_file))


def imported(system: StillSystem, example: Scenario, cut: spans.Spans) -> None:
    system.good("models", "apply", example.model_file)
    system.good("datasets", "import", cut.base, "--model", model_of(example).name, *scenario.options(example.choices))


def trained(system: StillSystem, model: specs.EdgeModel, run: str) -> gates.Verdict:
    digest = system.objects.get("EdgeModel", model.name).spec["datasetDigest"]
    verdict = cycle.run(cycle.ResolvedRun(run, model, model.retrain, digest, None), system.blobs, None)
    assert verdict is not None
    return verdict


def shipped(system: StillSystem, run: str) -> Shipped:
    proposal = system.blobs.read(contract.proposal_path(run), max_bytes=1 << 20)
    made = manifest.from_json(blob_store.fetch(system.blobs, json.loads(proposal)["digest"], 1 << 20))
    return Shipped(made, blob_store.fetch(system.blobs, made.files["model"].digest, 1 << 20))


def answered(version: Shipped, task: Forecast, asked: spans.Asked) -> list[Answer]:
    """As an agent tells them."""
    outputs = version.logits(asked.x)
    low, high = task.interval(outputs)
    sure = task.confidences(outputs, version.manifest.confidence)
    steps = zip(task.medians(outputs).tolist(), low.tolist(), high.tolist(), sure, strict=True)
    return [
        Answer(index, f"final-{index}", "edge-1", "b", certain, tuple(value), tuple(below), tuple(above), "token")
        for index, (value, below, above, certain) in enumerate(steps)
    ]
