"""Pages for probes and Prometheus over HTTP/1.1: `/metrics`, `/healthz` (alive), `/readyz` (ready to answer).

Not a web server: GET and HEAD only, one request per connection, bounded in size, time and number. Where all places are
taken, the connection that has been silent for longest makes room: half requests do not keep a probe out.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping

from skerry.adapters import sockets
from skerry.core import addresses

_MAX_HEAD_BYTES = 8192
_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 32
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Page = tuple[int, str, bytes]  # status, content type, body
Pages = Mapping[str, Callable[[], Page]]
TEXT = "text/plain; charset=utf-8"


def probe(is_well: Callable[[], bool]) -> Callable[[], Page]:
    """A page that says ok, or 503."""
    return lambda: (200, TEXT, b"ok\n") if is_well() else (503, TEXT, b"not ready\n")


def address(server: asyncio.Server) -> str:
    """`host:port` of the listening socket."""
    host, port = server.sockets[0].getsockname()[:2]
    return addresses.show(host, port)


async def serve(host: str, port: int, pages: Pages) -> asyncio.Server:
    """Listens at once; `address` tells the bound port. Raises UnavailableError for a taken address."""
    return await serve_on(sockets.bind(host, port), pages)


async def serve_on(listener: socket.socket, pages: Pages) -> asyncio.Server:
    """Answers on a socket that listens already."""
    waiting: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(waiting) >= MAX_CONNECTIONS:
            oldest = next(iter(waiting))
            del waiting[oldest]
            oldest.transport.abort()
        waiting[writer] = None
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, pages))
                await writer.drain()
        waiting.pop(writer, None)
        writer.close()

    return await asyncio.start_server(connected, sock=listener, limit=_MAX_HEAD_BYTES)


def _answer(head: bytes, pages: Pages) -> bytes:
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        status, kind, body = 400, TEXT, b"this is not HTTP/1.1\n"
    elif parts[0] not in ("GET", "HEAD"):
        status, kind, body = 405, TEXT, b"only GET and HEAD\n"
    elif page := pages.get(parts[1].partition("?")[0]):
        status, kind, body = page()
    else:
        status, kind, body = 404, TEXT, ("there are: " + " ".join(pages) + "\n").encode()
    lines = (
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + (b"" if parts[0] == "HEAD" else body)
