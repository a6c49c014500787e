"""HPACK's dynamic table (RFC 7541 §2.3.2, §4) of one direction of a connection, small: a server has thousands of them,
and their peers say the same. Equal fields are one object in all of them."""

Field = tuple[bytes, bytes]

DEFAULT_BYTES = 4_096  # of SETTINGS_HEADER_TABLE_SIZE: we announce no other
_ENTRY_BYTES = 32  # what an entry costs beside its name and value, by §4.1
_MAX_SHARED = 512
_MAX_SHARED_BYTES = 256
_NEVER_SHARED = b"grpc-timeout"  # grpc-go counts the microseconds that are left

_shared: dict[Field, Field] = {}


class DynamicTable:
    """`entries`: the newest first."""

    __slots__ = ("_size_bytes", "entries", "max_bytes")

    def __init__(self) -> None:
        self.entries: list[Field] = []
        self.max_bytes = DEFAULT_BYTES
        self._size_bytes = 0

    def add(self, name: bytes, value: bytes) -> Field:
        """An entry larger than the table empties it (§4.4). Returns the field, shared with other tables if possible."""
        size = len(name) + len(value)
        field = (name, value)
        if size <= _MAX_SHARED_BYTES and name != _NEVER_SHARED:
            if len(_shared) >= _MAX_SHARED:
                _shared.clear()
            field = _shared.setdefault(field, field)
        self.entries.insert(0, field)
        self._size_bytes += size + _ENTRY_BYTES
        if self._size_bytes > self.max_bytes:
            self._shrink()
        return field

    def resize(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._shrink()

    def _shrink(self) -> None:
        while self._size_bytes > self.max_bytes:
            name, value = self.entries.pop()
            self._size_bytes -= len(name) + len(value) + _ENTRY_BYTES
