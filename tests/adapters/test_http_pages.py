"""The pages for probes: bounded, GET and HEAD only, whatever is sent."""

import asyncio
import contextlib

import pytest

from skerry.adapters import http_pages

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"200", b"ok\n"),
        (b"GET /healthz?verbose=1 HTTP/1.1\r\n\r\n", b"200", b"ok\n"),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"200", b""),
        (b"GET /readyz HTTP/1.0\r\n\r\n", b"503", b"not ready\n"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404", b"there are: /healthz /readyz\n"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405", b"only GET and HEAD\n"),
        (b"nonsense\r\n\r\n", b"400", b"this is not HTTP/1.1\n"),
        (b"GET /healthz SMTP/1\r\n\r\n", b"400", b"this is not HTTP/1.1\n"),
    ],
    ids=["a page", "a query", "HEAD", "not ready", "no page", "POST", "no HTTP", "another protocol"],
)
async def test_what_is_answered(data: bytes, status: bytes, body: bytes) -> None:
    server = await http_pages.serve(
        "127.0.0.1", 0, {"/healthz": http_pages.probe(lambda: True), "/readyz": http_pages.probe(lambda: False)}
    )
    async with server:
        answer = await ask(server.sockets[0].getsockname()[1], data)
    head, _, found = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert found == body


async def test_a_head_without_end_is_not_kept() -> None:
    server = await http_pages.serve("127.0.0.1", 0, {"/healthz": http_pages.probe(lambda: True)})
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await ask(port, b"GET / HTTP/1.1\r\n" + b"x" * 20_000) == b""
        assert b"200" in await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n")


async def test_half_requests_do_not_keep_a_probe_out() -> None:
    server = await http_pages.serve("127.0.0.1", 0, {"/healthz": http_pages.probe(lambda: True)})
    async with server:
        port = server.sockets[0].getsockname()[1]
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(http_pages.MAX_CONNECTIONS + 5)]
        for _, writer in half:
            writer.write(b"GET /hea")
        for _ in range(3):
            assert b"200" in await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n")
        for reader, writer in half:
            writer.write(b"lthz HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert await reader.read() in (b"", OK)
            writer.close()
