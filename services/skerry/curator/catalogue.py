"""What the publisher knows of labelled examples, in object storage: so that a curator that starts reads a few large
blobs, and no example again.

`catalogue/<model>/<level>-<serial>` holds entries in the order in which they were taken in; a later one of an example
takes the place of an earlier one. What many small segments hold is put together into a larger one of the next level,
which is written before they go: whoever dies in between leaves the same entries twice. Nothing but the examples,
truths and labels themselves is the truth: a segment that cannot be read is left out, and the audit reads what it told
of again.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, datasets, errors
from skerry.core.erasures import Facts
from skerry.curator import examples
from skerry.curator.labels import Label

_FORMAT = 1
_MERGED_AT_ONCE = 16  # segments of one level
_LAST_LEVEL = 3
MAX_ENTRIES = 50_000  # of a segment: what is in memory at a time
_MAX_TEXT_BYTES = 64 << 20  # of a segment's entries: labels of many classes are large
_MAX_BYTES = 256 << 20

_log = logs.logger("curator")


@dataclass(frozen=True, slots=True)
class Entry:
    """An example without its row. `hex` is its id without prefix, `input` what tells equal rows, `of` the digest of the
    input that its row fitted; `label` as `Label.to_document` gives it."""

    hex: str
    node: str
    input: str
    of: str
    size_bytes: int
    exploration: bool
    has_row: bool
    answered_unix_ms: int
    label: Mapping[str, Any]
    series: str = ""
    series_unix_ms: int = 0
    request_id: str = ""
    subject: str = ""

    def facts(self, model: str) -> Facts:
        """What says whether an erasure means it."""
        name = f"sha256:{self.hex}"
        return Facts(model, self.node, name, self.request_id, self.subject, self.answered_unix_ms)


def entry(captured: examples.Captured, label: Label, wanted: datasets.Input) -> Entry:
    return Entry(
        captured.name,
        captured.node,
        captured.input_digest,
        fitting(wanted),
        captured.row.nbytes,
        captured.exploration,
        captured.has_row,
        captured.answered_unix_ms,
        label.to_document(),
        captured.series,
        captured.series_unix_ms,
        captured.request_id,
        captured.subject,
    )


def fitting(wanted: datasets.Input) -> str:
    """Equal for inputs that the same rows fit."""
    return f"{wanted.name} {wanted.datatype} {list(wanted.shape)}"


class Catalogue:
    """All models'. For one writer at a time; another that writes meanwhile adds the same twice, and loses nothing.
    `clock` gives Unix milliseconds. All methods raise UnavailableError."""

    def __init__(self, blobs: Blobs, clock: Callable[[], int]) -> None:
        self._blobs, self._clock, self._serial = blobs, clock, 0

    def segments(self, model: str) -> Sequence[str]:
        """Paths, in the order in which they are to be read."""
        return sorted(self._blobs.list(contract.catalogue_folder(model)), key=_order)

    def everything(self) -> Iterator[tuple[str, str]]:
        """(model, path) of all segments."""
        for path in self._blobs.list(contract.CATALOGUE_FOLDER):
            model = path.split("/")[1]
            if path != contract.published_path(model):
                yield model, path

    def read(self, path: str) -> Sequence[Entry]:
        """The entries of a segment; none of one that is gone or damaged, or of a release after this one."""
        return self._entries(path) or ()

    def _entries(self, path: str) -> Sequence[Entry] | None:
        """None: it cannot be read."""
        try:
            document = json.loads(_inflate(self._blobs.read(path, max_bytes=_MAX_BYTES)))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']!r:.20}")
            return [Entry(**given) for given in document["entries"]]
        except errors.NotFoundError:
            return ()
        except (errors.TooLargeError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as exc:
            _log.warning("catalogue_damaged", path=path, message=repr(exc)[:200])
            return None

    def append(self, model: str, entries: Sequence[Entry]) -> Sequence[str]:
        """Write entries down; returns the paths."""
        return [self._write(model, 0, self._next(), lot) for lot in _lots(entries)]

    def merge(self, model: str) -> Sequence[str]:
        """Put many small segments together, if there are; returns the paths that were written."""
        by_level: dict[int, list[str]] = {}
        for path in self.segments(model):
            by_level.setdefault(_order(path)[0], []).append(path)
        full = [paths for level, paths in by_level.items() if level > -_LAST_LEVEL and len(paths) >= _MERGED_AT_ONCE]
        return [written for paths in full for written in self._merge(model, paths)]

    def _merge(self, model: str, paths: Sequence[str]) -> Iterator[str]:
        level, serial = _order(paths[-1])
        latest: dict[str, Entry] = {}
        for path in paths:
            latest |= {one.hex: one for one in self.read(path)}
            if len(latest) >= MAX_ENTRIES or path == paths[-1]:
                for lot in _lots(latest.values()):
                    yield self._write(model, 1 - level, serial, lot)
                    serial += 1
                latest = {}
        for path in paths:
            self._blobs.delete(path)

    def forget(self, path: str, is_gone: Callable[[Entry], bool]) -> int:
        """Write a segment again without what is gone; returns how many entries went. One that cannot be read goes: what
        it told of is read from the examples again."""
        entries = self._entries(path)
        if entries is None:
            self._blobs.delete(path)
            return 0
        kept = [one for one in entries if not is_gone(one)]
        if kept and len(kept) < len(entries):
            self._blobs.write(path, _pack(map(_text, kept)))
        elif entries and not kept:
            self._blobs.delete(path)
        return len(entries) - len(kept)

    def _next(self) -> int:
        self._serial = max(self._serial + 1, self._clock() * 1000)  # room for the parts of a segment that is too large
        return self._serial

    def _write(self, model: str, level: int, serial: int, texts: Sequence[str]) -> str:
        path = contract.catalogue_path(model, level, serial)
        self._blobs.write(path, _pack(texts))
        return path


def _order(path: str) -> tuple[int, int]:
    """Segments of a higher level are older than all of a lower one."""
    level, _, serial = path.rpartition("/")[2].partition("-")
    return -int(level), int(serial)


def _lots(entries: Iterable[Entry]) -> Iterator[Sequence[str]]:
    """The texts of the entries, as many at a time as one segment may hold."""
    lot, size = list[str](), 0
    for one in entries:
        text = _text(one)
        if lot and (len(lot) >= MAX_ENTRIES or size + len(text) > _MAX_TEXT_BYTES):
            yield lot
            lot, size = [], 0
        lot.append(text)
        size += len(text)
    if lot:
        yield lot


def _text(one: Entry) -> str:
    return json.dumps(asdict(one), separators=(",", ":"))


def _pack(texts: Iterable[str]) -> bytes:
    return zlib.compress(f'{{"format":{_FORMAT},"entries":[{",".join(texts)}]}}'.encode(), 1)


def _inflate(data: bytes) -> bytes:
    inflating = zlib.decompressobj()
    text = inflating.decompress(data, _MAX_BYTES)
    if inflating.unconsumed_tail:
        raise ValueError(f"more than {_MAX_BYTES} bytes")
    return text
