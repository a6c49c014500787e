"""HPACK (RFC 7541): header blocks to fields and back, with the static table and Huffman code of the `hpack` library.

The decoding loop is ours because it is the hottest code of a request whose header block was not seen before (grpc-go
counts its deadlines in microseconds). Its oracle in the tests is the library's own decoder: same fields, same table,
same refusals. Encoding never touches the peer's table, so that an encoded block may be kept for ever.
"""

from collections.abc import Iterable

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from skerry.rpc.h2 import dynamic_table
from skerry.rpc.h2.dynamic_table import DynamicTable

Field = dynamic_table.Field
Fields = list[Field]

_STATIC: tuple[Field, ...] = HeaderTable.STATIC_TABLE
_STATIC_ENTRIES = len(_STATIC)
TABLE_BYTES = dynamic_table.DEFAULT_BYTES
_MAX_INTEGER_BYTES = 5  # enough for any size that we would take
TABLE_EMPTIED = b"\x20"  # "dynamic table size update to 0", which we owe a peer that lowered the size of its table


class HpackError(Exception):
    """The block cannot be decoded: the state shared with the peer is lost."""


class OversizeError(Exception):
    """The decoded list is larger than we are willing to hold."""


class Decoder:
    """One direction of one connection. `version` changes whenever the dynamic table may have changed."""

    __slots__ = ("_max_list_bytes", "_table", "version")

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._table = DynamicTable()
        self.version = 0

    @property
    def table(self) -> DynamicTable:
        return self._table

    def decode(self, block: bytes) -> Fields:
        """Raises HpackError for what RFC 7541 forbids, OversizeError above the limit (32 + name + value a field)."""
        try:
            return self._decode(block)
        except (HPACKError, IndexError) as exc:
            raise HpackError(str(exc) or "header block is cut short") from exc

    def _decode(self, block: bytes) -> Fields:
        fields: Fields = []
        table, at, end = self._table, 0, len(block)
        left = self._max_list_bytes
        while at < end:
            first = block[at]
            if first & 0x80:  # §6.1: an indexed field
                if first == 0xFF:
                    index, at = _integer(block, at, 0x7F)
                else:
                    index, at = first & 0x7F, at + 1
                field = _STATIC[index - 1] if 0 < index <= _STATIC_ENTRIES else self._dynamic(index)
            elif first & 0xE0 == 0x20:  # §6.3: a change of the table's size, before the first field
                at = self._resize(block, at, bool(fields))
                continue
            else:  # §6.2: a literal with indexing (01…), without it, or never indexed
                keep = first & 0x40
                index, at = _integer(block, at, 0x3F if keep else 0x0F)
                if index:
                    name = (_STATIC[index - 1] if index <= _STATIC_ENTRIES else self._dynamic(index))[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                if keep:
                    field = table.add(name, value)
                    self.version += 1
                else:
                    field = (name, value)
            fields.append(field)
            left -= 32 + len(field[0]) + len(field[1])
            if left < 0:
                raise OversizeError
        return fields

    def _dynamic(self, index: int) -> Field:
        """Raises IndexError for what is not in the table."""
        if not index:
            raise IndexError("index 0 means nothing")
        return self._table.entries[index - 1 - _STATIC_ENTRIES]

    def _resize(self, block: bytes, at: int, after_field: bool) -> int:
        size, at = _integer(block, at, 0x1F)
        if after_field:
            raise HpackError("a change of the table's size comes after a field")
        if size > TABLE_BYTES:
            raise HpackError("the table would be larger than we allow")
        self._table.resize(size)
        self.version += 1
        return at


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """§5.1: an integer whose prefix is `mask`; (value, next position)."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * _MAX_INTEGER_BYTES, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise HpackError("an integer is too long")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """§5.2: a string literal; (bytes, next position)."""
    huffman = block[at] & 0x80
    size, at = _integer(block, at, 0x7F)
    text = block[at : at + size]
    if len(text) != size:
        raise HpackError("header block is cut short")
    return (decode_huffman(text) if huffman else text), at + size


def encode(fields: Iterable[Field]) -> bytes:
    """Literals without indexing (§6.2.2), without Huffman code."""
    return b"".join(_literal(_literal(b"\0", name), value) for name, value in fields)


def _literal(prefix: bytes, text: bytes) -> bytes:
    size = len(text)
    if size < 0x7F:
        return prefix + bytes((size,)) + text
    size -= 0x7F
    head = bytearray(b"\x7f")
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return prefix + bytes(head) + text
