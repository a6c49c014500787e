"""`python -m skerry.trainer.teach --model NAME --out DIR`: train the EdgeModel's teacher for the OIP server.

From the imported training rows, with generic augmentation, into DIR/<model>/1/{model.onnx, golden.npz, manifest.json}
as float ONNX. Any other Open Inference Protocol v2 server can be the teacher instead; then this is not needed.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from skerry.adapters import blobs as blob_store
from skerry.adapters import files
from skerry.adapters import objects as object_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import errors, manifest, specs
from skerry.core.confidence import Calibration
from skerry.nets import export, training
from skerry.nets.training import Recipe
from skerry.trainer import compress, data, factories, golden, inputs, measures, propose, settings
from skerry.trainer.shipped import Shipped

log = logs.logger("trainer")

STEPS = 1200  # of the optimizer; with 1,800 digits 21 epochs and 25 CPU seconds
MIN_EPOCHS = 5
LEARNING_RATE = 3e-3


def teach(model: specs.EdgeModel, blobs: Blobs, seed: int) -> dict[str, bytes]:
    """Train the teacher; returns its files by name. Raises InputError (no teacher named, data, network)."""
    if model.teacher is None:
        raise errors.InputError(f"EdgeModel {model.name} names no teacher: set spec.teacher.factory, or use another")
    if not model.dataset_digest:
        raise errors.InputError(f"EdgeModel {model.name} has no dataset: import one with `skerry datasets import`")
    owner = f"EdgeModel {model.name} spec.teacher"
    loaded = data.load(blobs, model, model.dataset_digest)
    samples = inputs.to_samples(loaded.train["imported"], model)
    steps = math.ceil(len(samples.y) / training.batch_size(len(samples.y)))
    recipe = Recipe(max(MIN_EPOCHS, STEPS // steps), LEARNING_RATE, seed=seed, augment="generic")
    training.prepare(seed)
    network = factories.build(model.teacher, owner)
    measure = measures.of(model.task)
    factories.check_fit(network, samples.x, measure, owner)
    training.train(network, samples, recipe, inputs.log_epoch(seed), measure.objective)
    # It is asked about windows, which are whole.
    exported = export.export(network, samples.x[:8], in_pieces=False, output=measure.output)
    drafted = propose.draft(model, model.teacher, compress.as_float(exported.data), exported)
    return _files(Shipped(drafted, exported.data), loaded, model)


def _files(version: Shipped, loaded: data.Loaded, model: specs.EdgeModel) -> dict[str, bytes]:
    """The model with its golden set and manifest; logs its loss (of classes: the share of
    errors) on the imported holdout."""
    held = loaded.holdouts.get("imported")
    rows = (held if held is not None and len(held) else loaded.train["imported"]).x
    confidence = Calibration(outputs=measures.of(model.task).kind_of(version.logits(rows[: golden.ROWS])))
    if held is not None and len(held):
        answers, rate = version.logits(held.x), model.offload.target_rate_permille / 1000
        confidence = model.task.calibrate(answers, held.targets, rate, confidence.outputs)
        loss = float(model.task.row_loss(answers, held.targets).mean())
        log.info("taught", model=model.name, loss=round(loss, 4), n=len(held), size_bytes=len(version.model))
    tested = golden.build(version, rows)
    complete = propose.complete(
        version.manifest,
        golden=tested.data,
        tolerance_abs=tested.tolerance_abs,
        confidence=confidence,
        latency_cap_ms=0.0,
        dataset=model.dataset_digest,
        parents=(),
        metrics={},
    )
    return {
        propose.MODEL_FILE: version.model,
        propose.GOLDEN_FILE: tested.data,
        manifest.FILE_NAME: complete.to_json(),
    }


def write(content_by_name: Mapping[str, bytes], folder: Path) -> Path:
    """Put the files into `folder` under the next version number, as a whole; returns where. The version before stays,
    for the server may still run it; older ones go."""
    numbers = sorted(int(path.name) for path in folder.glob("[1-9]*") if path.is_dir() and path.name.isdigit())
    target, staging = folder / str(1 + max(numbers, default=0)), folder / ".new"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name, content in content_by_name.items():
        (staging / name).write_bytes(content)
    staging.rename(target)
    for number in numbers[:-1]:
        shutil.rmtree(folder / str(number), ignore_errors=True)
    return target


def main() -> int:
    arguments = argparse.ArgumentParser(
        prog="python -m skerry.trainer.teach", description=(__doc__ or "").split("\n")[0]
    )
    arguments.add_argument("--model", required=True, help="name of the EdgeModel")
    arguments.add_argument("--out", required=True, type=Path, help="model folder of the OIP server")
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    files.keep_private()
    logs.configure("teach")
    try:
        given = settings.read()
        if not given.objects:
            raise errors.InputError("SKERRY_OBJECTS is missing: it says where the EdgeModel is")
        resource = object_store.open_objects(given.objects).get("EdgeModel", chosen.model)
        model = specs.parse_edge_model(chosen.model, resource.spec)
        taught = teach(model, blob_store.open_blobs(given.blobs), chosen.seed)
        write(taught, chosen.out / chosen.model)
    except errors.SkerryError as exc:
        log.error("teaching_failed", model=chosen.model, error=str(exc))
        return 1
    except OSError as exc:
        log.error("teaching_failed", model=chosen.model, error=f"{chosen.out} cannot be written: {exc}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
