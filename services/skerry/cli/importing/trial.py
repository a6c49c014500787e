"""The first run of a network that somebody brings, in a child process with bounds: what crashes, eats memory or never
ends hurts only the child.

The child answers the golden inputs, sees whether answers are probabilities, compares rows alone and together, and
writes the finished manifest and golden set; the parent believes nothing of it but the files, which it reads again.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters import child_process
from skerry.core import confidence, errors, manifest, tolerance
from skerry.core.manifest import Manifest

COMMAND = child_process.command("skerry.cli.importing.trial")
TIMEOUT_S = 300.0
ROW_CPU_S = 20.0  # of the processor, for the first row: no node could serve what takes longer
_MEMORY_BYTES, _MEMORY_PER_MODEL_BYTE = 4 << 30, 6
_FILE_BYTES = 128 << 20
_INPUT, _INTEGRITY = "input", "integrity"


def run(draft: Manifest, data: bytes, inputs: Mapping[str, NDArray[Any]], outputs: str) -> tuple[Manifest, bytes]:
    """(the whole manifest, golden.npz) of the network `data` that `draft` describes, run on `inputs`. `outputs` is what
    the importer says of its answers: logits, probabilities, or empty to see it from the numbers.

    Raises InputError (another export or other inputs are needed), IntegrityError (it cannot run, or does not end).
    """
    limits = child_process.Limits(TIMEOUT_S, _MEMORY_BYTES + _MEMORY_PER_MODEL_BYTE * len(data), _FILE_BYTES)
    with tempfile.TemporaryDirectory(prefix="skerry-import-") as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(data)
        (folder / "draft.json").write_bytes(draft.to_json())
        for index, spec in enumerate(draft.inputs):
            np.save(folder / f"input-{index}.npy", inputs[spec.name], allow_pickle=False)
        ended = asyncio.run(
            child_process.run(COMMAND, {"folder": name, "outputs": outputs, "row_cpu_s": ROW_CPU_S}, limits)
        )
        if ended.answer is None:
            raise errors.IntegrityError(f"the process that tried it {ended.how}")
        if fault := ended.answer.get("fault"):
            raise (errors.InputError if ended.answer.get("kind") == _INPUT else errors.IntegrityError)(str(fault))
        golden = (folder / "golden.npz").read_bytes()
        return manifest.from_json((folder / "manifest.json").read_bytes()), golden


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    folder = Path(str(job["folder"]))
    try:
        whole, golden = _tried(folder, str(job["outputs"]), float(job["row_cpu_s"]))
    except errors.InputError as exc:
        return {"fault": str(exc), "kind": _INPUT}
    except errors.SkerryError as exc:
        return {"fault": str(exc), "kind": _INTEGRITY}
    (folder / "golden.npz").write_bytes(golden)
    (folder / "manifest.json").write_bytes(whole.to_json())
    return {"fault": ""}


def _tried(folder: Path, outputs: str, row_cpu_s: float) -> tuple[Manifest, bytes]:
    """Run the golden rows through the serving path; what comes out is what every node must reproduce."""
    from skerry.serving import selftest
    from skerry.serving.network import Network

    draft, data = manifest.from_json((folder / "draft.json").read_bytes()), (folder / "model.onnx").read_bytes()
    inputs = {spec.name: np.load(folder / f"input-{at}.npy") for at, spec in enumerate(draft.inputs)}
    network = Network.load(draft, data)
    with child_process.bounded_step(row_cpu_s):
        network.answer({name: rows[:1] for name, rows in inputs.items()})
    (answers, *_) = network.answer(inputs)
    rows, classes = len(next(iter(inputs.values()))), len(draft.class_names)
    if answers.shape != (rows, classes):
        raise errors.InputError(
            f"output {draft.outputs[0].name!r} answers {rows} rows with shape {list(answers.shape)}, and {classes} "
            "labels are given"
        )
    kind = _kind(answers, draft, outputs)
    golden = selftest.pack(inputs, {draft.outputs[0].name: answers})
    whole = manifest.check(
        replace(
            draft,
            files={**draft.files, "golden": manifest.file_of("golden.npz", golden)},
            golden=manifest.Golden(tolerance.of(answers)),
            confidence=replace(draft.confidence, outputs=kind),
        )
    )
    tried = selftest.check(whole, data, golden)
    if not tried.passed:
        raise errors.IntegrityError(tried.reason)
    return whole, golden


def _kind(answers: NDArray[Any], draft: Manifest, said: str) -> confidence.Outputs:
    """Logits or probabilities? Raises InputError where a word of the importer is needed, or is wrong."""
    are_probabilities, name = confidence.are_probabilities(answers), draft.outputs[0].name
    if said:
        kind = confidence.Outputs(said)
        if kind is confidence.Outputs.PROBABILITIES and not are_probabilities:
            raise errors.InputError(
                f"output {name!r} does not answer with probabilities (each in 0..1, together 1): "
                "leave --probabilities out"
            )
        return kind
    if (
        are_probabilities
        and draft.confidence.outputs is confidence.Outputs.LOGITS
        and len(np.unique(answers, axis=0)) < 2
    ):
        raise errors.InputError(
            f"output {draft.outputs[0].name!r} may answer with probabilities or with logits: its golden rows do not "
            "tell; bring several different ones, or say --probabilities or --logits"
        )
    return confidence.Outputs.PROBABILITIES if are_probabilities else confidence.Outputs.LOGITS


if __name__ == "__main__":
    child_process.serve(_work)
