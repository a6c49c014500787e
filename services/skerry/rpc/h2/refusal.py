"""Requests that run no method: what is no gRPC call gets an HTTP answer (405, 415) instead of a reset, and a call that
cannot begin (unknown method, too much metadata, …) its status.
"""

from skerry.rpc.h2 import hpack, wire
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.frames import Code
from skerry.rpc.h2.routing import Request
from skerry.rpc.h2.stream import Stream
from skerry.rpc.methods import CallError

_TEXT = b"this server speaks gRPC: POST with content-type application/grpc\n"
OK_HEAD = b"\x88" + hpack.encode([(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", wire.ACCEPTED)])


class _Refusal(Stream):
    def __init__(self, connection: Connection, stream_id: int, request: Request) -> None:
        super().__init__(stream_id, request, connection.peer_window_bytes, connection.limits.stream_window_bytes)
        self.connection = connection


class PlainAnswer(_Refusal):
    lingers = True
    _deadline = 0.0

    def opened(self) -> None:
        connection, request = self.connection, self.head
        assert isinstance(request, Request)
        self._deadline = connection.now + connection.limits.stalled_s
        fields = [
            (b":status", b"%d" % request.http_status),
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(_TEXT)),
        ]
        if request.http_status == 405:
            fields.append((b"allow", b"POST"))
        connection.send_headers(self, hpack.encode(fields), end=not request.wants_body)
        if request.wants_body:
            connection.send_data(self, _TEXT)
            connection.send_end(self, b"")

    def sweep(self, now: float) -> None:
        if now > self._deadline:
            self.connection.reset(self.id, Code.NO_ERROR)


class FailedCall(_Refusal):
    def opened(self) -> None:
        error = self.head.error
        assert isinstance(error, CallError)
        block = OK_HEAD + wire.trailers(error.status, error.message)
        self.connection.send_headers(self, block, end=True)
