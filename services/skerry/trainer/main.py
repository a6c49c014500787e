"""`python -m skerry.trainer.main`: run TrainingRun $SKERRY_RUN and write `proposals/<run>.json`.

Exit code 0: a proposal lies in the blobs, whatever its verdict. 1: there is none; the last log line says why. What the
run is comes from its snapshot `runs/<run>.json`; what follows is decided by the controller. Torch's launcher makes it
one of several workers (WORLD_SIZE, RANK), of which the first proposes.
"""

import sys
from typing import TYPE_CHECKING

from skerry.adapters import blobs as blob_store
from skerry.adapters import files
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors, snapshots
from skerry.trainer import settings

if TYPE_CHECKING:
    from skerry.trainer import cycle  # with torch: seconds that a run which cannot be does not wait for

log = logs.logger("trainer")


def resolve(blobs: Blobs, name: str) -> "cycle.ResolvedRun":
    """The run by name, with its model, its recipe and the stable version, from its snapshot. Raises NotFoundError,
    IntegrityError, InputError."""
    data = blobs.read(contract.snapshot_path(name), max_bytes=snapshots.MAX_BYTES)
    snapshot = snapshots.from_json(name, data)
    from skerry.trainer import baseline, cycle

    return cycle.ResolvedRun(
        run=name,
        model=snapshot.model,
        retrain=snapshot.retrain,
        dataset=snapshot.run.dataset_digest,
        baseline=baseline.find(blobs, snapshot.stable, snapshot.version),
    )


def run(given: settings.Settings) -> None:
    """Do the run that the settings name. Raises SkerryError when there is nothing to propose."""
    if not given.run:
        raise errors.InputError("SKERRY_RUN names no TrainingRun")
    blobs = blob_store.open_blobs(given.blobs, ticket=given.ticket, ca=given.ca)
    resolved = resolve(blobs, given.run)
    from skerry.trainer import cycle, teacher

    log.info(
        "training_started", run=resolved.run, model=resolved.model.name, dataset=resolved.dataset, teacher=given.teacher
    )
    labeler = teacher.soft_labeler(given.teacher, resolved.model) if given.teacher else None
    if given.workers == 1:
        cycle.run(resolved, blobs, labeler)
        return
    from skerry.nets import torch_workers

    cycle.run(resolved, blobs, labeler, torch_workers.join(given.rank, given.workers))
    torch_workers.leave()


def main() -> int:
    files.keep_private()
    logs.configure("trainer")
    try:
        run(settings.read())
    except errors.SkerryError as exc:
        log.error("training_failed", error=str(exc), kind=type(exc).__name__)
        return 1
    except Exception as exc:  # the last line of a process: an unforeseen fault is logged, not lost
        log.exception("training_broke", error=f"{type(exc).__name__}: {exc}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
