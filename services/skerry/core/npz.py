"""Arrays from npz bytes that come from outside, and npz bytes of arrays: one reader for datasets, golden sets, files.

Nothing is unpickled, and nothing is allocated before its size is known and within bounds: the archive's directory, the
number of arrays, the bytes that they unpack to, and each array's shape against the bytes that are there.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

SUFFIX = ".npy"
_MAX_HEADER_CHARS = 4096
_CHUNK_BYTES = 1 << 20  # unpacked at a time, so that an archive that lies about its sizes gains nothing
_MAX_NAME_BYTES = 4096  # in the archive's directory, extra fields counted
_END = struct.Struct("<4s4H2LH")  # the end of the archive's directory (APPNOTE.TXT 4.3.16)
_END_SIGNATURE, _ZIP64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES, _LONGEST_COMMENT = 20, (1 << 16) - 1
# What zipfile and numpy raise for bytes that are no npz, cut or altered anywhere.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    SyntaxError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes`: what all arrays together may unpack to."""

    max_bytes: int
    max_arrays: int = 64


def read(
    source: bytes | BinaryIO,
    what: str,
    limits: Limits,
    *,
    only: Collection[str] | None = None,
    error: type[errors.SkerryError] = errors.InputError,
) -> dict[str, NDArray[Any]]:
    """The arrays by name (of those, the ones named by `only`), writable. `source`: the bytes, or a file open for
    reading that can seek.

    Raises TooLargeError beyond `limits`, and `error` for what is no npz of plain arrays; both name `what`.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        _check_directory(file, what, limits)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members, what, limits)
            chosen = [member for member in members if only is None or _name(member) in only]
            return {_name(member): _array(archive, member, limits) for member in chosen}
    except errors.SkerryError:
        raise
    except _UNREADABLE as exc:
        raise error(f"{what} is not a readable npz of plain arrays: {exc}") from exc


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """npz bytes, not compressed; the same arrays always give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:  # np.savez takes names as arguments: "file" is one of its own
        for name, array in arrays.items():
            with archive.open(f"{name}{SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return out.getvalue()


def _check_directory(file: BinaryIO, what: str, limits: Limits) -> None:
    """zipfile reads the whole directory into objects: refuse a huge one before."""
    length = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, length - _END.size - _LONGEST_COMMENT - _ZIP64_LOCATOR_BYTES))
    tail = file.read(length - start)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0:
        raise ValueError("it is not a zip archive")
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack_from(tail, at)
    is_zip64 = tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(_ZIP64_SIGNATURE)
    if count > limits.max_arrays or is_zip64 or directory_bytes > limits.max_arrays * _MAX_NAME_BYTES:
        raise errors.TooLargeError(f"{what} holds {count} or more arrays: at most {limits.max_arrays} are read")
    file.seek(0)


def _check_members(members: list[zipfile.ZipInfo], what: str, limits: Limits) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.max_bytes or len(members) > limits.max_arrays:
        raise errors.TooLargeError(
            f"{what} unpacks to {len(members)} arrays of {unpacked} bytes: "
            f"at most {limits.max_arrays} arrays of {limits.max_bytes} bytes in all are read"
        )
    for member in members:
        if not member.filename.endswith(SUFFIX):
            raise ValueError(f"{member.filename[:80]!r} in it is no array")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename[:80]!r} in it is packed in a way that is not read")
    if len({member.filename for member in members}) != len(members):
        raise ValueError("two arrays in it have one name")


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(SUFFIX)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, is_fortran, dtype = _header(file)
        if dtype.hasobject or dtype.names is not None:
            raise ValueError(f"array {_name(member)[:80]!r} is {dtype!s:.80}: only plain numbers and texts are read")
        count = math.prod(shape)
        size = count * dtype.itemsize
        if min(shape, default=0) < 0 or count > limits.max_bytes or size != member.file_size - file.tell():
            raise ValueError(f"array {_name(member)[:80]!r} of {dtype} {list(shape)} does not fit its bytes")
        data = np.empty(size, dtype=np.uint8)
        for at in range(0, size, _CHUNK_BYTES):
            chunk = file.read(min(_CHUNK_BYTES, size - at))
            data[at : at + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
            if len(chunk) != min(_CHUNK_BYTES, size - at):
                raise EOFError(f"array {_name(member)[:80]!r} is cut off")
    flat = data.view(dtype) if size else np.empty(count, dtype=dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"arrays of format {version[0]}.{version[1]} are not read")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[version](file, max_header_size=_MAX_HEADER_CHARS)
    return header
