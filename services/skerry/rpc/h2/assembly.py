"""gRPC messages out of DATA payloads, for requests that do not come as one message in one frame.

What is held is reserved from a budget of the whole process, announced sizes included, so that many peers that each send
half a message cannot fill the memory.
"""

import struct

from skerry.rpc.h2 import wire
from skerry.rpc.methods import Announced, CallError, Status

PREFIX_BYTES = 5
_BEGINNING_BYTES = 512  # of a message, shown to who is asked whether it is worth reading
read_prefix = struct.Struct(">BI").unpack_from  # compressed, size


class Budget:
    """Bytes of requests that the process may hold."""

    __slots__ = ("_limit", "taken_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self.taken_bytes = limit_bytes, 0

    def take(self, size: int) -> None:
        """Raises CallError(RESOURCE_EXHAUSTED) when that would be too much."""
        if self.taken_bytes + size > self._limit:
            text = f"requests of {self._limit} bytes are under way already: try again"
            raise CallError(Status.RESOURCE_EXHAUSTED, text)
        self.taken_bytes += size

    def release(self, size: int) -> None:
        self.taken_bytes -= size


class Assembly:
    """One call's messages. `close` releases what an unfinished one had reserved."""

    __slots__ = ("_announced", "_budget", "_buffer", "_encoding", "_limit", "_need", "_reserved")

    def __init__(
        self, max_message_bytes: int, budget: Budget, encoding: bytes, announced: Announced | None = None
    ) -> None:
        self._limit, self._budget, self._encoding = max_message_bytes, budget, encoding
        self._announced = announced
        self._buffer = bytearray()
        self._need = PREFIX_BYTES
        self._reserved = 0

    @property
    def is_inside(self) -> bool:
        """A message has begun and not ended."""
        return bool(self._buffer)

    @property
    def missing_bytes(self) -> int:
        """Of the message that was announced; 0 while none is."""
        return self._need - len(self._buffer) if self._need > PREFIX_BYTES else 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that are complete now, decompressed. Raises CallError; the call has failed then."""
        buffer, messages = self._buffer, []
        buffer += chunk
        while len(buffer) >= self._need:
            if not self._reserved:
                self._read_prefix(buffer)
                continue
            is_compressed = buffer[0]
            message = bytes(memoryview(buffer)[PREFIX_BYTES : self._need])
            del buffer[: self._need]
            self.close()
            messages.append(wire.decompress(message, self._encoding, self._limit) if is_compressed else message)
        return messages

    def _read_prefix(self, buffer: bytearray) -> None:
        size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
        if buffer[0] > 1 or (buffer[0] and self._encoding == b"identity"):
            raise CallError(Status.INTERNAL, "a message says that it is compressed, the call does not")
        if size > self._limit:
            raise wire.too_large("message", f"{size} bytes", self._limit)
        if self._announced is not None and not buffer[0]:
            self._announced(bytes(memoryview(buffer)[PREFIX_BYTES : PREFIX_BYTES + _BEGINNING_BYTES]), size)
        self._budget.take(size + PREFIX_BYTES)
        self._need = self._reserved = size + PREFIX_BYTES

    def close(self) -> None:
        self._budget.release(self._reserved)
        self._need, self._reserved = PREFIX_BYTES, 0
