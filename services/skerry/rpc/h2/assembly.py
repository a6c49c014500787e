"""gRPC messages out of DATA payloads, for requests that do not come as one message in one frame.

What is held is reserved from a budget of the whole process, announced sizes included, so that many peers that each send
half a message cannot fill the memory. A message lies in one block that is as large as it was announced: its bytes are
read from the socket into their place, or copied there once.
"""

import struct

from skerry.rpc.h2 import wire
from skerry.rpc.h2.blocks import Blocks
from skerry.rpc.methods import Announced, CallError, Status

PREFIX_BYTES = 5
_BEGINNING_BYTES = 512  # of a message, shown to who is asked whether it is worth reading
read_prefix = struct.Struct(">BI").unpack_from  # compressed, size


class Budget:
    """Bytes of requests that the process may hold, and the blocks that large ones lie in."""

    __slots__ = ("_limit", "blocks", "taken_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self.taken_bytes = limit_bytes, 0
        self.blocks = Blocks()

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

    __slots__ = ("_announced", "_block", "_budget", "_encoding", "_filled", "_limit", "_prefix", "_reserved")

    def __init__(
        self, max_message_bytes: int, budget: Budget, encoding: bytes, announced: Announced | None = None
    ) -> None:
        self._limit, self._budget, self._encoding = max_message_bytes, budget, encoding
        self._announced = announced
        self._prefix = bytearray()
        self._block: memoryview | None = None  # of the message whose prefix is complete; its first `_filled` bytes came
        self._filled = self._reserved = 0

    @property
    def is_inside(self) -> bool:
        """A message has begun and not ended."""
        return bool(self._prefix)

    @property
    def missing_bytes(self) -> int:
        """Of the message that was announced; 0 while none is."""
        return len(self._block) - self._filled if self._block is not None else 0

    @property
    def space(self) -> memoryview | None:
        """Where the next bytes of the announced message belong; `filled` says how many were put there."""
        return self._block[self._filled :] if self._block is not None else None

    def filled(self, size: int) -> list[memoryview | bytes]:
        """As `feed`, of bytes that lie in `space` already."""
        self._filled += size
        return [self._finished()] if self.missing_bytes == 0 else []

    def feed(self, chunk: bytes | memoryview) -> list[memoryview | bytes]:
        """The messages that are complete now, decompressed; one that was not compressed is read-only and alone in its
        memory, its last byte at the end of an aligned word. Raises CallError; the call has failed then."""
        view, messages = memoryview(chunk), []
        while view or (self._block is not None and not self.missing_bytes):
            if self._block is None:
                at = PREFIX_BYTES - len(self._prefix)
                self._prefix += view[:at]
                view = view[at:]
                if len(self._prefix) == PREFIX_BYTES:
                    self._block = self._announce(view)
                continue
            size = min(self.missing_bytes, len(view))
            self._block[self._filled : self._filled + size] = view[:size]
            view = view[size:]
            messages += self.filled(size)
        return messages

    def _announce(self, beginning: memoryview) -> memoryview:
        is_compressed, size = read_prefix(self._prefix)
        if is_compressed > 1 or (is_compressed and self._encoding == b"identity"):
            raise CallError(Status.INTERNAL, "a message says that it is compressed, the call does not")
        if size > self._limit:
            raise wire.too_large("message", f"{size} bytes", self._limit)
        if self._announced is not None and not is_compressed:
            self._announced(bytes(beginning[:_BEGINNING_BYTES]), size)
        self._budget.take(size + PREFIX_BYTES)
        self._reserved = size + PREFIX_BYTES
        return self._budget.blocks.take(size)

    def _finished(self) -> memoryview | bytes:
        assert self._block is not None
        is_compressed, message = self._prefix[0], self._block.toreadonly()
        self._prefix, self._block, self._filled = bytearray(), None, 0
        self.close()
        return wire.decompress(bytes(message), self._encoding, self._limit) if is_compressed else message

    def close(self) -> None:
        self._budget.release(self._reserved)
        self._reserved = 0
