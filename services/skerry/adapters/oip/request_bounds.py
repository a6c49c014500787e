"""What a ModelInferRequest may cost, before it is parsed: its bytes can be a hundred times as many as objects.

(30 MB of empty outputs were 4.4 GB and 15 s of the event loop.) Numbers in raw contents are as large in memory as on
the wire, and bounded by the transport. All else of a request (names, shapes, parameters, and how many of them there
are) is little in every request that means something; typed contents stand in between. What the bytes mean is
protobuf's and the codec's.
"""

from skerry.adapters.oip import wire
from skerry.core import errors

MAX_STRUCTURE_BYTES = 64 << 10
MAX_TYPED_BYTES = 16 << 20


def check(data: bytes) -> None:
    """Raises TooLargeError naming the limit, and InputError for what is no message at all."""
    if len(data) <= MAX_STRUCTURE_BYTES:
        return
    try:
        _check_structure(data)
    except IndexError as exc:
        raise errors.InputError("this is not a ModelInferRequest: it ends within a field") from exc


def check_small(data: bytes, what: str) -> None:
    """For requests that hold no numbers. Raises TooLargeError naming `what` and the limit."""
    if len(data) > MAX_STRUCTURE_BYTES:
        raise errors.TooLargeError(f"{what} has {len(data)} bytes; at most {MAX_STRUCTURE_BYTES} are read")


def _check_structure(data: bytes) -> None:
    at, numbers, typed = 0, 0, 0
    while at < len(data):
        number, start, end = wire.field(data, at)
        if number == wire.RAW_CONTENTS:
            numbers += end - start
        elif number == wire.INPUT:
            typed += _typed_contents(data, start, end, numbers + typed)
        at = end
        _check_rest(at - numbers - typed)
    if typed > MAX_TYPED_BYTES:
        raise errors.TooLargeError(
            f"{typed} bytes of typed contents were sent, at most {MAX_TYPED_BYTES} are read: send raw_input_contents"
        )


def _typed_contents(data: bytes, at: int, until: int, numbers: int) -> int:
    """Bytes of the contents of one input."""
    typed = 0
    while at < until:
        number, start, end = wire.field(data, at)
        if number == wire.CONTENTS:
            typed += end - start
        at = end
        _check_rest(at - numbers - typed)
    return typed


def _check_rest(size: int) -> None:
    if size > MAX_STRUCTURE_BYTES:
        raise errors.TooLargeError(
            f"the names, shapes and parameters of a request have more than {MAX_STRUCTURE_BYTES} bytes"
        )
