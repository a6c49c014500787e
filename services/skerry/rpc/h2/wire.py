"""gRPC over HTTP/2 on the wire: timeouts, metadata, status trailers, message framing and compression.

After https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

import base64
import binascii
import types
import urllib.parse
import zlib
from collections.abc import Mapping, Sequence

from skerry.rpc.h2.frames import pack_u32
from skerry.rpc.h2.hpack import Field, Fields, encode
from skerry.rpc.methods import CallError, Status

Metadata = Sequence[tuple[str, str | bytes]]

ENCODINGS: Mapping[bytes, int] = {b"gzip": 31, b"deflate": 15}  # zlib's window bits
ACCEPTED = b"identity,gzip,deflate"

_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_RESERVED = frozenset((b"te", b"content-type", b"content-length", b"host"))
_GZIP_LEVEL = 1


def timeout_s(value: bytes) -> float:
    """`100m` is 0.1. Raises CallError for what is not at most eight digits and a unit."""
    digits, unit = value[:-1], value[-1:]
    if not digits.isdigit() or len(digits) > 8 or unit not in _UNIT_S:
        raise CallError(Status.INTERNAL, "grpc-timeout is malformed")
    return int(digits) * _UNIT_S[unit]


def metadata(fields: Fields) -> Mapping[str, str | bytes]:
    """The caller's own metadata, as `methods.Call` promises. Raises CallError for a `-bin` value that is not base64."""
    values: dict[str, str | bytes] = {}
    for name, value in fields:
        if name[:1] == b":" or name.startswith(b"grpc-") or name in _RESERVED:
            continue
        key = name.decode("ascii")
        before = values.get(key)
        if name.endswith(b"-bin"):
            values[key] = _from_base64(value.rpartition(b",")[2])
        elif isinstance(before, str):
            values[key] = f"{before}, {value.decode('latin-1')}"
        else:
            values[key] = value.decode("latin-1")
    return types.MappingProxyType(values)


def _from_base64(value: bytes) -> bytes:
    value = value.strip()
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as exc:
        raise CallError(Status.INTERNAL, "binary metadata is not base64") from exc


def encode_metadata(items: Metadata) -> bytes:
    """A header block of metadata. Text must be printable ASCII: raises CallError else, for it would break the peer."""
    return encode(_field(name, value) for name, value in items)


def _field(name: str, value: str | bytes) -> Field:
    if isinstance(value, bytes):
        return name.encode("ascii"), base64.b64encode(value).rstrip(b"=")
    if not (value.isascii() and (value.isprintable())):
        raise CallError(Status.INTERNAL, f"metadata {name} is not printable ASCII")
    return name.encode("ascii"), value.encode("ascii")


def trailers(status: int, message: str = "", items: Metadata = ()) -> bytes:
    """The trailer block of a call: status, percent-encoded message, trailing metadata."""
    fields = [(b"grpc-status", b"%d" % status)]
    if message:
        fields.append((b"grpc-message", urllib.parse.quote(message, safe=_PLAIN).encode("ascii")))
    return encode(fields) + encode_metadata(items)


def framed(message: bytes) -> bytes:
    return b"\0" + pack_u32(len(message)) + message


def framed_gzip(message: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, ENCODINGS[b"gzip"])
    packed = packer.compress(message) + packer.flush()
    return b"\1" + pack_u32(len(packed)) + packed


def decompress(data: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """One message. Raises CallError when it is damaged, or larger than `max_bytes`; holds no more than that."""
    try:
        inflater = zlib.decompressobj(ENCODINGS[encoding])
        message = inflater.decompress(data, max_bytes + 1)
    except zlib.error as exc:
        raise CallError(Status.INTERNAL, "the compressed message is damaged") from exc
    if len(message) > max_bytes:
        raise too_large("message", f"more than {max_bytes} bytes when decompressed", max_bytes)
    if not inflater.eof or inflater.unused_data:
        raise CallError(Status.INTERNAL, "the compressed message is damaged")
    return message


def too_large(what: str, size: str, limit: int) -> CallError:
    return CallError(Status.RESOURCE_EXHAUSTED, f"{what} of {size} exceeds the limit of {limit}")
