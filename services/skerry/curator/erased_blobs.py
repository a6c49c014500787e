"""Where an erasure's progress, its removed rows and tombstones lie in object storage, and what an example consists of
there."""

import json
from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.message import DecodeError

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.core import contract, digests, erasure_progress, errors, set_aside
from skerry.core.erasure_progress import Progress, Row
from skerry.curator.set_aside import SetAsideStore
from skerry.proto import fleet_pb2

_MAX_ROWS_BYTES = 64 << 20


class ErasedBlobs:
    """All methods raise UnavailableError when storage does not answer."""

    def __init__(self, blobs: SharedBlobs) -> None:
        self._blobs, self._aside = blobs, SetAsideStore(blobs)

    def progress(self, name: str) -> Progress | None:
        """None: it was not begun, or what was written is damaged, and it is begun again."""
        path = contract.erasure_path(name)
        try:
            return erasure_progress.from_json(self._blobs.read(path, max_bytes=erasure_progress.MAX_BYTES), path)
        except (errors.NotFoundError, errors.IntegrityError, errors.TooLargeError):
            return None

    def put_progress(self, name: str, progress: Progress) -> None:
        self._blobs.write(contract.erasure_path(name), progress.to_json())

    def keep_rows(self, name: str, rows: Iterable[Row]) -> None:
        """Named by content: to keep the same rows again changes nothing."""
        data = erasure_progress.pack_rows(rows)
        self._blobs.write(f"{contract.erased_rows_folder(name)}/{digests.hex_of(digests.sha256(data))}", data)

    def rows(self, name: str) -> Iterator[Row]:
        for path in self._blobs.list(contract.erased_rows_folder(name)):
            yield from erasure_progress.unpack_rows(self._blobs.read(path, max_bytes=_MAX_ROWS_BYTES), path)

    def forget_rows(self, name: str) -> None:
        for path in self._blobs.list(contract.erased_rows_folder(name)):
            self._blobs.delete(path)

    def input_of(self, model: str, name: str) -> str:
        """`content_digest` of an example's input; of one that cannot be read, of nothing."""
        try:
            data = self._blobs.read(contract.example_path(model, name), max_bytes=contract.MAX_EXAMPLE_BYTES)
            raw = [tensor.raw for tensor in fleet_pb2.Example.FromString(data).inputs]
        except (errors.NotFoundError, errors.TooLargeError, DecodeError):
            raw = []
        return erasure_progress.content_digest(raw[0] if raw else b"")

    def remove_example(self, model: str, name: str) -> None:
        """With all that is told of it; itself last, for by it the others are found."""
        self._aside.drop(model, name, set_aside.EXAMPLE)
        self._blobs.delete(contract.example_path(model, name))

    def truth(self, path: str) -> fleet_pb2.Truth | None:
        """None: it is gone, or cannot be read."""
        try:
            return fleet_pb2.Truth.FromString(self._blobs.read(path, max_bytes=contract.MAX_TRUTH_BYTES))
        except (errors.NotFoundError, errors.TooLargeError, DecodeError):
            return None

    def bury(self, part: str, model: str, rows: int, erased: Mapping[str, int], at_unix_ms: int) -> None:
        """Put a tombstone in the place of a part, and then remove the part."""
        self._blobs.write(
            contract.tombstone_path(part), erasure_progress.tombstone(part, model, rows, erased, at_unix_ms)
        )
        self._blobs.delete(digests.blob_path(part))

    def erased_from(self, part: str) -> dict[str, int]:
        """How many rows of a part that is gone each erasure meant, by name; none where no tombstone says so."""
        try:
            data = self._blobs.read(contract.tombstone_path(part), max_bytes=erasure_progress.MAX_BYTES)
            return {str(name): int(count) for name, count in json.loads(data)["erased"].items()}
        except (errors.NotFoundError, errors.TooLargeError, ValueError, KeyError, TypeError, AttributeError):
            return {}
