"""Records of what was set aside, in object storage beside the examples. They outlive the curator, and every curator,
command and page reads the same."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, errors, set_aside

ENTRIES = "_stream"  # in the place of a model; none is called so


class Key(NamedTuple):
    """Names one of what was set aside; `model` is empty for an entry of the stream."""

    model: str
    name: str
    kind: str

    @property
    def content(self) -> str:
        """The blob that is meant; empty for an entry, of which nothing but the record is kept."""
        return contract.example_path(self.model, self.name) if self.kind == set_aside.EXAMPLE else ""


class SetAsideStore:
    """All methods raise UnavailableError when storage does not answer."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, record: set_aside.SetAside) -> None:
        self._blobs.write(_path(record.model, record.name, record.kind), record.to_json())

    def names(self, model: str) -> Iterator[tuple[str, str]]:
        """(name, kind) of what is set aside of a model, or of the stream (""), sorted by name."""
        for key in self._keys(contract.set_aside_folder(model or ENTRIES)):
            yield key.name, key.kind

    def every(self) -> Iterator[Key]:
        """Of all models, and of the stream."""
        return self._keys(contract.SET_ASIDE_FOLDER)

    def _keys(self, folder: str) -> Iterator[Key]:
        for path in map(PurePosixPath, self._blobs.list(folder)):
            name, _, kind = path.name.removesuffix(".json").rpartition(".")
            if name and kind in set_aside.KINDS:
                yield Key("" if path.parent.name == ENTRIES else path.parent.name, name, kind)

    def record(self, key: Key) -> set_aside.SetAside:
        """The record of what `every` listed; of one that is damaged or gone, one that says so."""
        try:
            found = self.find(*key)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            return set_aside.SetAside(*key, "RecordDamaged", str(exc), 0)
        return found or set_aside.SetAside(*key, "Gone", "it is not set aside any more", 0)

    def find(self, model: str, name: str, kind: str) -> set_aside.SetAside | None:
        """The record; None when there is none. Raises IntegrityError for a damaged one."""
        path = _path(model, name, kind)
        try:
            return set_aside.from_json(self._blobs.read(path, max_bytes=set_aside.MAX_BYTES), f"blob {path}")
        except errors.NotFoundError:
            return None

    def forget(self, model: str, name: str, kind: str) -> None:
        """Have it tried again."""
        self._blobs.delete(_path(model, name, kind))

    def drop(self, model: str, name: str, kind: str) -> None:
        """Remove what was set aside, the record last. An example goes with its truth and its label."""
        if kind == set_aside.EXAMPLE:
            self._blobs.delete(contract.label_path(model, name))
            self._blobs.delete(contract.example_path(model, name))
            self._blobs.delete(contract.truth_path(model, name))
        self.forget(model, name, kind)


def _path(model: str, name: str, kind: str) -> str:
    return f"{contract.set_aside_folder(model or ENTRIES)}/{name}.{kind}.json"
