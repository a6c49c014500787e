"""What a network answers on the rows of a holdout, asked in the process that tries it, and beside it the stable version
on the same rows. Parent and child share a folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing import child_files
from skerry.core import errors, manifest, npz
from skerry.core.manifest import Manifest
from skerry.trainer.baseline import Baseline

GOLDEN = "asked-golden.npz"  # of the rows, those for the self-test
GOLDEN_ROWS = 16
_ROWS, _ANSWERS, _TOLD = "asked.npz", "answers.npz", "asked.json"
_STABLE, _STABLE_MODEL = "stable.json", "stable.onnx"
_NUMBER_BYTES = 4
_MAX_FAULT, _MAX_LATENCY_US = 500, 1e12


@dataclass(frozen=True, slots=True)
class Asked:
    """`rows` [n ≥ 1, …] as callers send them; `stable`: the version to compare with; `timed`: also how long a row
    takes; `golden`: rows for the self-test that goes to every node (None: some of these)."""

    rows: NDArray[Any]
    stable: Baseline | None = None
    timed: bool = False
    golden: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """[n, width] float32 each, a row of NaN where there is no usable answer; `stable` None where there is no such
    version, or it could not be asked: why is in `stable_fault`. `latency_us`: the median time of one row."""

    candidate: NDArray[np.float32]
    stable: NDArray[np.float32] | None = None
    stable_fault: str = ""
    latency_us: float | None = None


def write(folder: Path, asked: Asked, width: int, max_file_bytes: int) -> None:
    """Before the child starts. Raises TooLargeError when its answers would be larger than a file of it may be."""
    answers = 1 if asked.stable is None else 2
    if answers * len(asked.rows) * width * _NUMBER_BYTES > max_file_bytes // 2:
        raise errors.TooLargeError(
            f"the holdout has {len(asked.rows)} rows, too many for answers of {width} numbers: take a larger --stride, "
            "or a table of less time"
        )
    (folder / _ROWS).write_bytes(npz.pack({"rows": asked.rows}))
    spread = np.unique(np.linspace(0, len(asked.rows) - 1, GOLDEN_ROWS).astype(np.int64))
    golden = asked.rows[spread] if asked.golden is None else asked.golden
    (folder / GOLDEN).write_bytes(npz.pack({"rows": golden}))
    (folder / _TOLD).write_text(json.dumps({"timed": asked.timed}))
    if asked.stable is not None:
        (folder / _STABLE).write_bytes(asked.stable.manifest.to_json())
        (folder / _STABLE_MODEL).write_bytes(asked.stable.model)


def answer(folder: Path, version: Manifest, model: bytes) -> None:
    """In the child. Raises InputError, IntegrityError when the network cannot take the rows."""
    from skerry.trainer import evaluate  # heavy, and only the child needs it
    from skerry.trainer.shipped import Shipped

    data = (folder / _ROWS).read_bytes()
    rows = npz.read(data, "the holdout", npz.Limits(len(data)))["rows"]
    timed, candidate = json.loads((folder / _TOLD).read_text())["timed"], Shipped(version, model)
    answers, told = {"candidate": candidate.logits(rows)}, dict[str, Any]()
    if timed:
        told["latencyUs"] = evaluate.latency_us(candidate, rows[:1])
    if (folder / _STABLE).exists():
        try:
            before = manifest.from_json((folder / _STABLE).read_bytes())
            answers["stable"] = Shipped(before, (folder / _STABLE_MODEL).read_bytes()).logits(rows)
        except errors.SkerryError as exc:
            told["stableFault"] = str(exc)
    (folder / _ANSWERS).write_bytes(npz.pack(answers))
    (folder / _TOLD).write_text(json.dumps(told))


def read(folder: Path, asked: Asked, width: int, max_file_bytes: int) -> Answers:
    """After the child has ended: exactly what was asked, `width` numbers a row, for it ran what others made. Raises
    IntegrityError that says what it left."""
    latency_us, stable_fault = _told(folder / _TOLD, asked)
    names = ["candidate"] if asked.stable is None or stable_fault else ["candidate", "stable"]
    data = child_files.read(folder / _ANSWERS, max_file_bytes)
    try:
        arrays = npz.read(data, "what the network answered", npz.Limits(len(data)), error=errors.IntegrityError)
    except errors.TooLargeError as exc:
        raise child_files.fault(f"{_ANSWERS}: {exc}") from exc
    if sorted(arrays) != names:
        raise child_files.fault(f"answers of {', '.join(sorted(arrays))[:_MAX_FAULT]!r} where {names} were asked")
    for array in arrays.values():
        if array.shape != (len(asked.rows), width) or array.dtype != np.float32:
            raise errors.IntegrityError(f"the network answered {array.dtype} {list(array.shape)} to the holdout")
    return Answers(arrays["candidate"], arrays.get("stable"), stable_fault, latency_us)


def _told(path: Path, asked: Asked) -> tuple[float | None, str]:
    """(the latency in µs where it was asked for, why the stable version could not be asked: empty when it was)."""
    told = child_files.read_json(path)
    needed = {"latencyUs"} if asked.timed else set[str]()
    allowed = needed if asked.stable is None else needed | {"stableFault"}
    if not isinstance(told, dict) or not needed <= told.keys() <= allowed:
        raise child_files.fault(f"{path.name} with {told!r:.80}, of {sorted(allowed)}")
    latency, stable_fault = told.get("latencyUs", 0), told.get("stableFault", "")
    if not (type(latency) in (int, float) and 0 <= latency <= _MAX_LATENCY_US):  # NaN is not
        raise child_files.fault(f"the latency {latency!r:.80}, which is no time in µs")
    if "stableFault" in told and not (isinstance(stable_fault, str) and stable_fault):
        raise child_files.fault(f"{stable_fault!r:.80} as why the stable version could not be asked")
    return (float(latency) if asked.timed else None), stable_fault[:_MAX_FAULT]
