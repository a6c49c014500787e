"""The first look at a network that somebody brings, and its first run, in a child process with bounds: what crashes,
eats memory or never ends hurts only the child.

The child reads the file, answers the golden inputs, sees whether answers are probabilities, compares rows alone and
together, writes the finished manifest and golden set, and answers a holdout if there is one; the parent believes
nothing of it but the files, which it reads again.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters import child_process
from skerry.cli.importing import child_files, holdout_answers, wanted
from skerry.cli.importing.holdout_answers import Answers, Asked
from skerry.cli.importing.wanted import Wanted
from skerry.core import confidence, errors, manifest, tolerance
from skerry.core.manifest import Manifest

if TYPE_CHECKING:
    from skerry.cli.importing import draft

COMMAND = child_process.command("skerry.cli.importing.trial")
TIMEOUT_S = 300.0
ROW_CPU_S = 20.0  # of the processor, for the first row: no node could serve what takes longer
FEW_ROWS = 1000  # so few are not why time ran out
_MEMORY_BYTES, _MEMORY_PER_MODEL_BYTE = 4 << 30, 6
_FILE_BYTES = 128 << 20
_MANIFEST, _GOLDEN, _PASSED_OVER = "manifest.json", "golden.npz", "passed-over.json"
_LARGEST_BYTES = 1 << 30  # a larger file is refused before it is read
_FAULTS = {
    kind.__name__: kind
    for kind in (errors.InputError, errors.NotFoundError, errors.TooLargeError, errors.UnsupportedError)
}


@dataclass(frozen=True, slots=True)
class Tried:
    """A network that was tried: the whole manifest, golden.npz, and the outputs of its file that are not served."""

    manifest: Manifest
    golden: bytes
    passed_over: tuple[str, ...]
    answers: Answers | None


def run(path: Path, golden: Path | None, said: Wanted, asked: Asked | None = None) -> Tried:
    """Read the network and its golden inputs (None: some of the rows that it is asked about), check both, run it on
    them, and ask it.

    Raises InputError (another export or other inputs are needed), IntegrityError (it cannot run, or does not end),
    TooLargeError (it cannot be asked about so many rows).
    """
    memory_bytes = _MEMORY_BYTES + _MEMORY_PER_MODEL_BYTE * min(path.stat().st_size, _LARGEST_BYTES)
    limits = child_process.Limits(TIMEOUT_S, memory_bytes, _FILE_BYTES)
    with tempfile.TemporaryDirectory(prefix="skerry-import-") as name:
        folder = Path(name)
        (folder / "wanted.json").write_text(said.to_json())
        if asked is not None:
            holdout_answers.write(folder, asked, said.task.width, _FILE_BYTES)
        job = {
            "folder": name,
            "path": str(path),
            "golden": str(golden or folder / holdout_answers.GOLDEN),
            "row_cpu_s": ROW_CPU_S,
            "asked": asked is not None,
        }
        ended = asyncio.run(child_process.run(COMMAND, job, limits))
        if ended.answer is None:
            raise errors.IntegrityError(f"{path}: the process that tried it {ended.how}{fewer_rows(ended, asked)}")
        if fault := ended.answer.get("fault"):
            raise _FAULTS.get(str(ended.answer.get("kind")), errors.IntegrityError)(str(fault))
        return _left(folder, said, asked)


def fewer_rows(ended: child_process.Ended, asked: Asked | None) -> str:
    """What to do where time ran out over many rows."""
    if ended.code is not None or asked is None or len(asked.rows) <= FEW_ROWS:
        return ""
    return f", and it was asked about {len(asked.rows):,} rows: take a larger --stride, or a holdout of less time"


def _left(folder: Path, said: Wanted, asked: Asked | None) -> Tried:
    """What the child wrote. Raises IntegrityError for anything that it could not have written as it was told to."""
    try:
        whole = manifest.from_json(child_files.read(folder / _MANIFEST, manifest.MAX_BYTES))
    except errors.InputError as exc:
        raise child_files.fault(f"{_MANIFEST} that is none: {exc}") from exc
    if (whole.model, whole.task) != (said.model, said.task):
        raise child_files.fault(f"the manifest of {whole.model} ({whole.task}), asked was {said.model} ({said.task})")
    passed_over = child_files.read_json(folder / _PASSED_OVER)
    if not isinstance(passed_over, list) or not all(isinstance(name, str) for name in passed_over):
        raise child_files.fault(f"{_PASSED_OVER} with {passed_over!r:.80}, which is no list of names")
    answers = None if asked is None else holdout_answers.read(folder, asked, said.task.width, _FILE_BYTES)
    return Tried(whole, child_files.read(folder / _GOLDEN, _FILE_BYTES), tuple(passed_over), answers)


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    from skerry.cli.importing import draft  # heavy, and only the child needs it

    folder, path = Path(str(job["folder"])), Path(str(job["path"]))
    try:
        said = wanted.from_json((folder / "wanted.json").read_text())
        drafted = draft.of(path, Path(str(job["golden"])), said)
        whole, golden = _tried(path, drafted, said, float(job["row_cpu_s"]))
        if job["asked"]:
            holdout_answers.answer(folder, whole, drafted.data)
    except errors.SkerryError as exc:
        return {"fault": str(exc), "kind": type(exc).__name__}
    except OSError as exc:
        return {"fault": f"{exc.filename} cannot be read: {exc.strerror}", "kind": errors.InputError.__name__}
    (folder / _GOLDEN).write_bytes(golden)
    (folder / _MANIFEST).write_bytes(whole.to_json())
    (folder / _PASSED_OVER).write_text(json.dumps(drafted.passed_over))
    return {"fault": ""}


def _tried(path: Path, drafted: "draft.Draft", said: Wanted, row_cpu_s: float) -> tuple[Manifest, bytes]:
    try:
        return _answered(drafted.manifest, drafted.data, drafted.rows, said, row_cpu_s)
    except (errors.InputError, errors.IntegrityError) as exc:
        raise type(exc)(f"{path}: {exc}") from exc


def _answered(
    draft: Manifest, data: bytes, inputs: Mapping[str, NDArray[Any]], said: Wanted, row_cpu_s: float
) -> tuple[Manifest, bytes]:
    """Run the golden rows through the serving path; what comes out is what every node must reproduce."""
    from skerry.serving import selftest
    from skerry.serving.network import Network

    network = Network.load(draft, data)
    with child_process.bounded_step(row_cpu_s):
        network.answer({name: rows[:1] for name, rows in inputs.items()})
    (answers, *_) = network.answer(inputs)
    rows = len(next(iter(inputs.values())))
    if answers.shape != (rows, draft.task.width):
        raise errors.InputError(
            f"output {draft.outputs[0].name!r} answers {rows} rows with shape {list(answers.shape)}, and {said.width}"
        )
    kind = _kind(answers, draft, said.outputs)
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
