"""Where examples, truths and labels lie in object storage, and what of it is not labelled yet."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from google.protobuf.message import DecodeError

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors, untold
from skerry.core.tasks import Task
from skerry.curator import labels
from skerry.proto import fleet_pb2

_log = logs.logger("curator")


@dataclass(frozen=True, slots=True)
class StoredExample:
    """One example (64 hex digits), and whether a label and a truth lie beside it."""

    hex: str
    labelled: bool
    has_truth: bool


class ExampleStore:
    """All methods raise UnavailableError when storage does not answer."""

    def __init__(self, blobs: SharedBlobs) -> None:
        self._blobs = blobs

    def example(self, model: str, name: str) -> bytes | None:
        return self._read(contract.example_path(model, name), contract.MAX_EXAMPLE_BYTES)

    def written_unix_s(self, model: str, name: str) -> float | None:
        """When the example was stored; None when it is not there any more."""
        try:
            return self._blobs.stat(contract.example_path(model, name)).modified_unix_s
        except errors.NotFoundError:
            return None

    def truth(self, model: str, name: str) -> fleet_pb2.Truth | None:
        """Raises IntegrityError for a blob that is no Truth."""
        path = contract.truth_path(model, name)
        data = self._read(path, contract.MAX_TRUTH_BYTES)
        if data is None:
            return None
        try:
            return fleet_pb2.Truth.FromString(data)
        except DecodeError as exc:
            raise errors.IntegrityError(f"blob {path} is not a Truth: {exc}") from exc

    def label(self, model: str, name: str, task: Task) -> labels.Label | None:
        """Raises IntegrityError for a blob that is no label."""
        path = contract.label_path(model, name)
        data = self._read(path, labels.MAX_LABEL_BYTES)
        return None if data is None else labels.from_json(data, task, f"blob {path}")

    def put_label(self, model: str, name: str, label: labels.Label) -> None:
        self._blobs.write(contract.label_path(model, name), label.to_json())

    def scan(self, model: str) -> Iterator[StoredExample]:
        """Every example of the model, in order of its id."""
        folders = (contract.examples_folder(model), contract.labels_folder(model), contract.truths_folder(model))
        return merge(*(map(_stem, self._blobs.list(folder)) for folder in folders))

    def put_untold(self, entries: Sequence[Mapping[str, str]]) -> None:
        for path, data in untold.pack(entries):
            self._blobs.write(path, data)

    def take_untold(self, count: int) -> tuple[list[dict[str, str]], bool, bool]:
        """Entries that the stream did not take, of up to `count` blobs, which go; whether there are more; and whether
        one was damaged: nobody knows what it told of."""
        paths = list(itertools.islice(self._blobs.list(contract.UNTOLD_FOLDER), count + 1))
        entries, damaged = list[dict[str, str]](), False
        for path in paths[:count]:
            try:
                data = self._read(path, untold.MAX_BYTES)
                entries += [] if data is None else untold.unpack(data, path)
            except (errors.IntegrityError, errors.TooLargeError) as exc:
                _log.warning("untold_damaged", path=path, message=str(exc))
                damaged = True
            self._blobs.delete(path)
        return entries, len(paths) > count, damaged

    def _read(self, path: str, max_bytes: int) -> bytes | None:
        try:
            return self._blobs.read(path, max_bytes=max_bytes)
        except errors.NotFoundError:
            return None


def merge(examples: Iterable[str], labelled: Iterable[str], truths: Iterable[str]) -> Iterator[StoredExample]:
    """Merge three sorted listings of hex names without holding any of them; names without an example are left out."""
    of_label, of_truth = _Sorted(labelled), _Sorted(truths)
    for name in examples:
        yield StoredExample(name, of_label.has(name), of_truth.has(name))


class _Sorted:
    """Membership in a sorted iterable, asked in rising order."""

    def __init__(self, names: Iterable[str]) -> None:
        self._rest = iter(names)
        self._head = next(self._rest, None)

    def has(self, name: str) -> bool:
        while self._head is not None and self._head < name:
            self._head = next(self._rest, None)
        return self._head == name


def _stem(path: str) -> str:
    return PurePosixPath(path).name.removesuffix(".json")
