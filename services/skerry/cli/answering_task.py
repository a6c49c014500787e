"""What the version that answered answers: where classes were mapped, an older version still counts in its own."""

from skerry.adapters import blobs
from skerry.cli import system_file
from skerry.core import errors, manifest, tasks


def task_of(system: system_file.Description, described: tasks.Task, digest: str) -> tasks.Task:
    """By the manifest of the version with this digest. Raises UnavailableError where that cannot be had: its classes
    cannot be named then."""
    if not described.is_mapped or not digest:
        return described
    try:
        data = blobs.fetch(blobs.open_blobs(system.blobs), digest, manifest.MAX_BYTES)
        return manifest.from_json(data).task
    except (errors.InputError, errors.IntegrityError) as exc:
        raise errors.UnavailableError(
            f"the classes of version {digest} cannot be named, for its manifest cannot be read: {exc}"
        ) from exc
