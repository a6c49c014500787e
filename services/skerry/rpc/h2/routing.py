"""From a header list to a method, or to why there is none: no gRPC call (HTTP 405, 415), or one that fails at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from skerry.rpc.h2 import headers, wire
from skerry.rpc.h2.frames import Code, StreamError
from skerry.rpc.h2.hpack import Fields
from skerry.rpc.methods import CallError, Kind, Method, Methods, Status

_KNOWN_LISTS = 256
_KNOWN_LIST_BYTES = 1_024
_TYPES = (b"application/grpc", b"application/grpc+proto")
_STREAMS_IN = (Kind.CLIENT_STREAM, Kind.BIDI, Kind.RECEIVER)


@dataclass(frozen=True, slots=True)
class Route:
    """A gRPC call that has a method."""

    path: str
    method: Method
    streams_in: bool
    is_batch: bool
    metadata: Mapping[str, str | bytes]
    encoding: bytes
    takes_gzip: bool


@dataclass(slots=True, eq=False)
class Request:
    """A validated header list; shared by calls and never changed. One of `route`, `http_status`, `error` says what is
    to be done: run the method, answer in plain HTTP since this is no gRPC call, or fail the call at once."""

    content_length: int | None
    route: Route | None = None
    error: CallError | None = None
    http_status: int = 0
    wants_body: bool = True  # the HTTP answer has one: not for HEAD
    timeout_s: float | None = None


class Router:
    """Fields in, `Request` out. Lists that differ only in grpc-timeout share the work: grpc-go counts microseconds."""

    def __init__(self, methods: Methods, max_metadata_bytes: int) -> None:
        self._methods = {path.encode("ascii"): method for path, method in methods.items()}
        self._max_metadata_bytes = max_metadata_bytes
        self._known: dict[tuple[tuple[bytes, bytes], ...], Request] = {}

    def __call__(self, fields: Fields) -> Request:
        """Raises StreamError for a malformed request."""
        timeout = None
        for at, (name, value) in enumerate(fields):
            if name == b"grpc-timeout":
                timeout = value
                if fields[at + 1 : at + 2] and fields[at + 1][0][:1] == b":":
                    raise StreamError(Code.PROTOCOL_ERROR, "grpc-timeout comes before a pseudo-header field")
                del fields[at]
                break
        key = tuple(fields)
        request = self._known.get(key)
        if request is None:
            request = self._parse_new(key)
        return request if timeout is None or request.route is None else _timed(request, timeout)

    def _parse_new(self, key: tuple[tuple[bytes, bytes], ...]) -> Request:
        fields = list(key)
        request, size = self._parse(fields), headers.list_bytes(fields)
        if size > self._max_metadata_bytes and not request.http_status:
            error = wire.too_large("metadata", f"{size} bytes", self._max_metadata_bytes)
            return Request(request.content_length, error=error)
        if size <= _KNOWN_LIST_BYTES:
            if len(self._known) >= _KNOWN_LISTS:
                self._known.clear()
            self._known[key] = request
        return request

    def _parse(self, fields: Fields) -> Request:
        verb, path = headers.check_request(fields)
        length, values = headers.content_length(fields), dict(fields)
        if b"grpc-timeout" in values:
            raise StreamError(Code.PROTOCOL_ERROR, "grpc-timeout is given twice")
        kind = values.get(b"content-type", b"").partition(b";")[0].strip()
        if verb != b"POST":
            return Request(length, http_status=405, wants_body=verb != b"HEAD")
        if kind not in _TYPES:
            return Request(length, http_status=415)
        try:
            return Request(length, self._route(path, values, fields))
        except CallError as error:
            return Request(length, error=error)

    def _route(self, path: bytes, values: Mapping[bytes, bytes], fields: Fields) -> Route:
        name, method = path.decode("latin-1"), self._methods.get(path)
        if method is None:
            raise CallError(Status.UNIMPLEMENTED, f"unknown method {name}")
        encoding = values.get(b"grpc-encoding", b"identity")
        if encoding != b"identity" and encoding not in wire.ENCODINGS:
            text = f"grpc-encoding {encoding.decode('latin-1')} is not one of {wire.ACCEPTED.decode()}"
            raise CallError(Status.UNIMPLEMENTED, text)
        takes_gzip = b"gzip" in values.get(b"grpc-accept-encoding", b"")
        kind, metadata = method.kind, wire.metadata(fields)
        return Route(name, method, kind in _STREAMS_IN, kind is Kind.BATCH, metadata, encoding, takes_gzip)


def _timed(request: Request, timeout: bytes) -> Request:
    try:
        return Request(request.content_length, request.route, None, 0, True, wire.timeout_s(timeout))
    except CallError as error:
        return Request(request.content_length, error=error)
