"""HTTP listeners of applications: half requests, half handshakes and unread replies cost a place for a time, and keep
nobody out."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agent_fakes
import pytest
import rpc_world
import uvicorn

from skerry.adapters import http_server, sockets
from skerry.rpc import tls as rpc_tls

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"x" * (64 << 20)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says "ok", or something large, and reads what it is sent."""
    while (await receive()).get("more_body"):
        pass
    body = LARGE if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(connections: int = 5, context: ssl.SSLContext | None = None) -> AsyncIterator[http_server.Server]:
    config = uvicorn.Config(
        application, http=http_server.Protocol, ws="none", log_config=None, access_log=False, lifespan="off"
    )
    config.load()
    config.ssl = context
    with sockets.bind("127.0.0.1", 0) as listener:
        made = http_server.Server(config, connections)
        running = asyncio.create_task(made.serve(sockets=[listener]))
        config.port = listener.getsockname()[1]
        try:
            yield made
        finally:
            made.should_exit = True
            await running
    assert made.places.taken == 0 and not made.places.waiting


async def opened(
    server: http_server.Server, said: bytes = b"", **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.port, **options)
    writer.write(said)
    return reader, writer


async def answered(server: http_server.Server, said: bytes = GET, **options: Any) -> bytes:
    reader, writer = await opened(server, said, **options)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(2)
    writer.close()
    return head.split(b" ")[1] + b" " + body


async def ended(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        while await reader.read(1 << 20):
            pass
    return True


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET[:-2]], ids=["silent", "half a line", "half a head"])
async def test_half_requests_keep_nobody_out(said: bytes) -> None:
    async with serving() as server:
        half = [await opened(server, said) for _ in range(12)]
        assert [await answered(server) for _ in range(3)] == [b"200 ok"] * 3
        assert [await ended(reader) for reader, _ in half[:7]] == [True] * 7
        for _, writer in half:
            writer.close()


async def test_half_tls_handshakes_keep_nobody_out(tmp_path: Path) -> None:
    authority = rpc_world.Authority(tmp_path)
    context = rpc_tls.context(authority.tls(), ("http/1.1",))
    trusting = ssl.create_default_context(cafile=authority.tls().certificate)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with serving(context=context) as server:
        half = [await opened(server, b"\x16\x03\x01") for _ in range(12)]
        assert await answered(server, ssl=trusting) == b"200 ok"
        assert [await ended(reader) for reader, _ in half[:7]] == [True] * 7
        for _, writer in half:
            writer.close()


async def test_the_rest_of_a_head_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_HEAD_S", 0.05)
    async with serving() as server:
        for said in (b"", b"GET / HT", GET[:-2], GET + b"GET / HT"):
            reader, writer = await opened(server, said)
            assert await ended(reader)
            writer.close()
        assert await answered(server) == b"200 ok"


async def test_a_body_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_STALLED_S", 0.05)
    async with serving() as server:
        reader, writer = await opened(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert await ended(reader)
        writer.close()


async def test_a_reply_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_STALLED_S", 0.05)
    async with serving() as server:
        reader, writer = await opened(server, GET.replace(b"/ ", b"/large ", 1))
        transport: Any = writer.transport
        transport.pause_reading()
        await agent_fakes.until(lambda: server.places.taken == 0)
        transport.resume_reading()
        assert await ended(reader)
        writer.close()


async def test_a_connection_is_kept_for_further_requests() -> None:
    async with serving() as server:
        reader, writer = await opened(server)
        for _ in range(3):
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
        writer.close()


async def test_where_every_place_has_a_request_the_next_one_is_refused() -> None:
    async with serving(connections=2) as server:
        busy = [await opened(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n") for _ in range(2)]
        await agent_fakes.until(lambda: server.places.taken == 2 and not server.places.waiting)
        reader, writer = await opened(server, GET)
        assert await ended(reader)
        writer.close()
        for reader, writer in busy:
            writer.write(b"x")
            await reader.readuntil(b"ok")
            writer.close()
