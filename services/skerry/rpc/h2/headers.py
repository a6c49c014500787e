"""What a header list may look like (RFC 9113 §8.2, §8.3), and a connection's cache of header blocks.

Peers repeat themselves: a block that left the dynamic table as it was decodes the same way until the table changes. Its
raw bytes are the key, and the value is whatever `parse` made of the fields: validated, routed, shared by all its calls.
"""

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from skerry.rpc.h2.frames import Code, FatalError, StreamError
from skerry.rpc.h2.hpack import Decoder, Field, Fields, HpackError, OversizeError

HeadT = TypeVar("HeadT")

_CACHED_BLOCKS = 64
_CACHED_BLOCK_BYTES = 512

_token = re.compile(rb"[a-z0-9!#$%&'*+\-.^_`|~]+").fullmatch
_unfit = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z").search
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


class HeaderReader(Generic[HeadT]):
    """A connection's inbound header blocks."""

    __slots__ = ("_cache", "_decoder", "_parse")

    def __init__(self, parse: Callable[[Fields], HeadT], max_list_bytes: int) -> None:
        self._parse = parse
        self._decoder = Decoder(max_list_bytes)
        self._cache: dict[bytes, HeadT] = {}

    def read(self, block: bytes) -> HeadT:
        """The head of a request. Raises FatalError when decoding fails, StreamError for a malformed request."""
        head = self._cache.get(block)
        return self._read_new(block) if head is None else head

    def _read_new(self, block: bytes) -> HeadT:
        decoder = self._decoder
        before = decoder.version
        head = self._parse(self._fields(block))
        if decoder.version == before and len(block) <= _CACHED_BLOCK_BYTES:
            if len(self._cache) >= _CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = head
        return head

    def trailers(self, block: bytes) -> None:
        """Decode and check a request's trailers: gRPC gives them no meaning. Raises as `read`."""
        check(self._fields(block), trailers=True)

    def skip(self, block: bytes) -> None:
        """Decode a block for the table's sake alone."""
        self._fields(block)

    def _fields(self, block: bytes) -> Fields:
        decoder = self._decoder
        before = decoder.version
        try:
            return decoder.decode(block)
        except OversizeError as exc:
            raise FatalError(Code.ENHANCE_YOUR_CALM, "header list is too large") from exc
        except HpackError as exc:
            raise FatalError(Code.COMPRESSION_ERROR, str(exc)) from exc
        finally:
            if decoder.version != before:
                self._cache.clear()


def check(fields: Fields, *, trailers: bool = False) -> dict[bytes, bytes]:
    """The pseudo-header fields of a well-formed list. Raises StreamError for what RFC 9113 §8.2 calls malformed."""
    pseudo: dict[bytes, bytes] = {}
    regular = trailers
    for name, value in fields:
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                raise StreamError(Code.PROTOCOL_ERROR, "misplaced pseudo-header field")
            pseudo[name] = value
        else:
            regular = True
            _check_regular(name, value)
        if _unfit(value):
            raise StreamError(Code.PROTOCOL_ERROR, "header value is not allowed")
    return pseudo


def _check_regular(name: bytes, value: bytes) -> None:
    if not _token(name):
        raise StreamError(Code.PROTOCOL_ERROR, "header name is not allowed")
    if name in _HOP_BY_HOP or (name == b"te" and value != b"trailers"):
        raise StreamError(Code.PROTOCOL_ERROR, "header field is not allowed in HTTP/2")


def check_request(fields: Fields) -> tuple[bytes, bytes]:
    """(method, path) of a well-formed request."""
    pseudo = check(fields)
    method, path = pseudo.get(b":method"), pseudo.get(b":path")
    if method == b"CONNECT" and path is None and pseudo.get(b":authority"):  # RFC 9113 §8.5
        return method, b""
    if not method or not path or not pseudo.get(b":scheme"):
        raise StreamError(Code.PROTOCOL_ERROR, ":method, :scheme and :path must be given")
    return method, path


def content_length(fields: Fields) -> int | None:
    lengths = {value for name, value in fields if name == b"content-length"}
    if not lengths:
        return None
    value = lengths.pop()
    if lengths or not value.isdigit() or len(value) > 18:
        raise StreamError(Code.PROTOCOL_ERROR, "content-length is not one number")
    return int(value)


def list_bytes(fields: list[Field]) -> int:
    """Size by the rule of RFC 9113 §6.5.2."""
    return sum(32 + len(name) + len(value) for name, value in fields)
