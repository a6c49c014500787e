"""A connection of our server with its peer's side in the hands of a test, and streams that keep what comes."""

import rpc_raw
from rpc_raw import Frame

from skerry.rpc.h2 import frames
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.frames import Code
from skerry.rpc.h2.routing import Request, Router
from skerry.rpc.h2.stream import Stream
from skerry.rpc.limits import Limits


class Recorder(Stream):
    """A stream that remembers what happened to it."""

    def __init__(self, connection: Connection, stream_id: int, request: Request) -> None:
        super().__init__(stream_id, request, connection.peer_window_bytes, connection.limits.stream_window_bytes)
        self.body, self.ended, self.abort_code = b"", False, -1

    def received(self, chunk: bytes, end: bool) -> None:
        self.body += chunk
        self.ended = end

    def aborted(self, code: int) -> None:
        self.abort_code = code


class Talk:
    """A connection with its peer's side in the hands of the test."""

    def __init__(self, settings: dict[int, int] | None = None, **limits: float) -> None:
        self.made: dict[int, Recorder] = {}
        self.now = 100.0
        self.connection = Connection(Limits(**limits), Router({}, 16_384), self.make, self.now)  # type: ignore[arg-type]
        self.say(frames.PREFACE + frames.settings(settings or {}))

    def make(self, connection: Connection, stream_id: int, request: Request) -> Recorder:
        self.made[stream_id] = Recorder(connection, stream_id, request)
        return self.made[stream_id]

    def say(self, content: bytes) -> list[Frame]:
        """What the server answers."""
        self.connection.receive(content, self.now)
        return self.heard()

    def heard(self) -> list[Frame]:
        return rpc_raw.parse(self.connection.take())


def outcome(answers: list[Frame]) -> str:
    """`GOAWAY name`, `RST stream name`, or `fine`."""
    for frame in answers:
        if frame.kind == frames.GOAWAY:
            return f"GOAWAY {Code(frame.code).name}"
        if frame.kind == frames.RST_STREAM:
            return f"RST {frame.stream_id} {Code(frame.code).name}"
    return "fine"
