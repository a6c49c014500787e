"""Where a system keeps what must not be lost, running or not: a state folder, or the URLs its processes have."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from skerry.cli.up import state_option
from skerry.core import errors


@dataclass(frozen=True, slots=True)
class Locations:
    """URLs as in SKERRY_OBJECTS, SKERRY_BLOBS and SKERRY_REPOSITORY; folders of keys and of the teacher's models."""

    objects: str
    blobs: str
    repository: str
    keys: Path | None = None
    teacher: Path | None = None


_OPTIONS = (
    click.option("--objects", envvar="SKERRY_OBJECTS", default="", help="Object store, instead of the state folder's."),
    click.option("--blobs", envvar="SKERRY_BLOBS", default="", help="Blob storage, with --objects."),
    click.option("--repository", envvar="SKERRY_REPOSITORY", default="", help="Model repository, with --objects."),
    click.option(
        "--keys-folder", envvar="SKERRY_KEYS", type=click.Path(path_type=Path), help="Folder of signing keys."
    ),
    click.option("--teacher-models", envvar="SKERRY_MODELS", type=click.Path(path_type=Path), help="Teacher's models."),
    state_option,
)


def location_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where a system is, and hand it one `places`."""

    @functools.wraps(command)
    def wrapped(
        *,
        objects: str,
        blobs: str,
        repository: str,
        keys_folder: Path | None,
        teacher_models: Path | None,
        state: Path,
        **others: Any,
    ) -> None:
        command(locations=_places(objects, blobs, repository, keys_folder, teacher_models, state), **others)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), wrapped)


def _places(
    objects: str, blobs: str, repository: str, keys: Path | None, teacher: Path | None, state: Path
) -> Locations:
    if objects:
        if not blobs or not repository:
            raise errors.InputError(
                f"{objects} is not all of a system: --blobs and --repository (SKERRY_…) are missing"
            )
        return Locations(objects, blobs, repository, keys, teacher)
    from skerry.cli.system.layout import Layout

    layout = Layout.found(state.absolute())
    return Locations(layout.objects_url, layout.blobs_url, layout.repository_url, layout.keys, layout.teacher_models)
