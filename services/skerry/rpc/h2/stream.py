"""One HTTP/2 stream: its windows, and what waits for them. What a request means is up to the class above it."""

from collections import deque
from typing import Any, Protocol

from skerry.rpc.h2.frames import Code, StreamError


class Head(Protocol):
    """What a connection needs to know of a parsed header list."""

    @property
    def content_length(self) -> int | None: ...


class Stream:
    """Class attributes are the defaults, so that a request which needs none of them costs no memory for them."""

    local_closed = False  # our last frame was handed over, or waits in `pending`
    remote_closed = False
    body_left: int | None = None  # what content-length still promises
    pending: deque[memoryview] | None = None  # reply bytes that flow control holds back
    pending_end: bytes | None = None  # the trailers after them; b"": END_STREAM alone
    ignored_bytes = 0  # of a request that goes on after its reply
    lingers = False  # after an early reply let the request end by itself instead of resetting it

    def __init__(self, stream_id: int, head: Any, send_window: int, receive_window: int) -> None:
        """Windows in bytes: what the peer takes, and what we do."""
        self.id, self.head = stream_id, head
        self.send_window, self.receive_window = send_window, receive_window

    def count_body(self, size: int, end: bool) -> None:
        """`size` bytes of the body have come. Raises StreamError when they are not what content-length promised."""
        assert self.body_left is not None
        self.body_left -= size
        if self.body_left < 0 or (end and self.body_left):
            raise StreamError(Code.PROTOCOL_ERROR, "the body differs from content-length")

    def opened(self) -> None:
        """The header list is complete."""

    def received(self, chunk: bytes | memoryview, end: bool) -> None:
        """Bytes of the body; `end`: they are the last. A view is good for this call alone."""

    def space(self) -> memoryview | None:
        """Where the next bytes of the body may be put; None where they are to be `received`."""
        return None

    def filled(self, size: int, end: bool) -> None:
        """As `received`, of bytes that were put into `space`."""

    def aborted(self, code: int) -> None:
        """The peer, a broken rule or the connection's end took the stream away."""

    def drained(self) -> None:
        """No reply bytes wait for flow control any more."""

    def sweep(self, now: float) -> None:
        """Called about once a second: a request that does not come may be given up here."""
