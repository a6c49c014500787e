"""How much memory requests may take, out of what the container has, and what that means for each model.

A request is there as a message, as its inputs and as its outputs; networks have their own working memory beside it.
What cannot fit is refused by its declared length, before it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from skerry.core import errors, tensors
from skerry.core.manifest import Manifest
from skerry.core.tensors import FREE, Spec
from skerry.serving import cgroup

_MIB = 1 << 20
_HEAD_BYTES = 64 << 10  # names, shapes and parameters of a request
_INPUT_COPIES, _OUTPUT_COPIES = 2, 3
# A typed element at its longest on the wire: negative numbers of the protocol's int fields have ten bytes.
_TYPED_BYTES = {"BOOL": 1, "UINT8": 2, "UINT16": 3, "UINT32": 5, "FP32": 4, "FP64": 8, "FP16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class RequestMemory:
    """`message_bytes` bounds one message, `arriving_bytes` those that have begun and not ended, `waiting_bytes` those
    that wait for a run, `request_bytes` one request with its answer in all their copies, `arena_bytes` the weights and
    the working memory of all networks (0: not bounded), `window_bytes` the windows of one version's sequences, of which
    two versions may be there during a swap."""

    message_bytes: int = 32 * _MIB
    arriving_bytes: int = 256 * _MIB
    waiting_bytes: int = 192 * _MIB
    request_bytes: int = 256 * _MIB
    arena_bytes: int = 0
    window_bytes: int = 64 * _MIB

    @classmethod
    def of(cls, limit_bytes: int) -> "RequestMemory":
        """Its shares of a process's memory; 0: no limit is known."""
        most = cls()
        if not limit_bytes:
            return most
        message = min(most.message_bytes, max(4 * _MIB, limit_bytes // 16))
        return cls(
            message,
            max(2 * message, min(most.arriving_bytes, limit_bytes // 8)),
            max(2 * message, min(most.waiting_bytes, limit_bytes // 8)),
            min(most.request_bytes, limit_bytes // 4),
            limit_bytes * 5 // 8,
            min(most.window_bytes, limit_bytes // 32),
        )


@dataclass(frozen=True, slots=True)
class RequestBound:
    """What one request for a model may be: its rows, and the bytes of its message."""

    rows: int
    message_bytes: int
    model: str

    def check_rows(self, rows: int) -> None:
        """Raises TooLargeError."""
        if rows > self.rows:
            raise errors.TooLargeError(
                f"{rows} rows were sent; model {self.model!r} answers at most {self.rows} in one request: send fewer "
                "at a time"
            )

    def check_message(self, size_bytes: int) -> None:
        """Raises TooLargeError."""
        if size_bytes > self.message_bytes:
            raise errors.TooLargeError(
                f"a request of {size_bytes} bytes was announced; model {self.model!r} takes at most "
                f"{self.message_bytes} bytes ({self.rows} rows) in one: send fewer rows at a time"
            )


def here(limit_bytes: int) -> RequestMemory:
    """In this container, and below `limit_bytes` (0: none)."""
    limits = [limit for limit in (limit_bytes, cgroup.memory_bytes()) if limit]
    return RequestMemory.of(min(limits, default=0))


def bound_of(manifest: Manifest, memory: RequestMemory) -> RequestBound:
    """Free axes count as one element: then the bound of all messages is that of the model."""
    taken, given = _row_bytes(manifest.inputs), _row_bytes(manifest.outputs)
    fitting = memory.request_bytes // (_INPUT_COPIES * taken + _OUTPUT_COPIES * given)
    rows = max(1, min(fitting, memory.message_bytes // given))
    is_fixed = all(FREE not in spec.shape and spec.datatype != "BYTES" for spec in manifest.inputs)
    typed = sum(prod(spec.shape) * _TYPED_BYTES.get(spec.datatype, 10) for spec in manifest.inputs)
    message = rows * typed + _HEAD_BYTES if is_fixed else memory.message_bytes
    return RequestBound(rows, min(memory.message_bytes, message), manifest.model)


def _row_bytes(specs: Sequence[Spec]) -> int:
    return sum(prod(abs(size) for size in spec.shape) * tensors.WIRE_BYTES.get(spec.datatype, 4) for spec in specs)
