"""A proxy of ours in front of a real API server: it counts every request, and does to some of them what networks,
load balancers and overloaded servers do. TLS on both sides, one request per connection, a thread of its own.

`freeze` makes every open connection deaf: what comes is read and never passed on, and nothing is closed.
"""

import asyncio
import contextlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from apiserver_process import ADMIN_TOKEN, ApiServer, kubeconfig

T = TypeVar("T")
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is without its query. `key` is what faults are matched with: `PATCH /apis/…`, `WATCH /apis/…`."""

    method: str
    path: str
    query: dict[str, list[str]]
    token: str

    @property
    def key(self) -> str:
        return f"{'WATCH' if 'watch' in self.query else self.method} {self.path}"

    @property
    def is_write(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Answer:
    """The API server is not asked: this status comes back, as an API server would write it."""

    status: int
    reason: str = "Injected"
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The API server is not asked: 200 with these bytes, then the end of the connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """The request is passed on; of the answer `after` bytes come back, then the line is cut. 0: it happened, and
    nobody says so."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class OldVersion:
    """The request is passed on as if it asked from the beginning of time: the API server's own 410."""


@dataclass
class Hold:
    """The request waits in the network until `release`."""

    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


Fault = Answer | Body | Cut | OldVersion | Hold


def error_event(code: int, reason: str) -> Body:
    """A watch that ends in an ERROR event."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return Body(json.dumps({"type": "ERROR", "object": status | {"message": "injected"}}).encode() + b"\n")


class FaultProxy:
    """Use as a context manager. `kubeconfig` is the administrator's, through the proxy."""

    def __init__(self, server: ApiServer, token: str = ADMIN_TOKEN) -> None:
        self._server = server
        self._faults: list[tuple[re.Pattern[str], Fault, int]] = []
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._frozen: set[asyncio.Task[None]] = set()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._thread.start()
        self._listener = self._do(self._listen())
        self.url = f"https://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        self.kubeconfig = server.folder / f"kubeconfig-{self.url.rpartition(':')[2]}"
        self.kubeconfig.write_text(kubeconfig(self.url, server.ca_file, token))

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.kubeconfig.unlink(missing_ok=True)

    def inject(self, matching: str, fault: Fault, times: int = 1) -> None:
        """Do `fault` to the next `times` requests whose key the pattern finds."""
        with self._lock:
            self._faults.append((re.compile(matching), fault, times))

    def heal(self) -> None:
        """No fault waits for a request any more, and frozen lines end."""
        with self._lock:
            self._faults.clear()
        self._do(self._thaw())

    def freeze(self) -> None:
        """All connections that are open now turn deaf; new ones work."""
        self._call(lambda: self._frozen.update(self._open))

    def cut_off(self) -> None:
        """All connections turn deaf, new ones too, until `heal`."""
        self._call(lambda: (self._thawed.clear(), self._frozen.update(self._open)))

    def cut(self) -> None:
        """Reset every open connection."""
        self._call(lambda: [writer.transport.abort() for writer in self._open.values()])

    def reset(self) -> None:
        """Forget the requests seen."""
        with self._lock:
            self.requests.clear()

    def seen(self, matching: str = "") -> list[Request]:
        """The requests since `reset` whose key the pattern finds."""
        with self._lock:
            return [one for one in self.requests if re.search(matching, one.key)]

    def writes(self, matching: str = "") -> list[str]:
        """The keys of those that write, without the renewals of leases."""
        return [one.key for one in self.seen(matching) if one.is_write and "/leases" not in one.path]

    # ---- in the proxy's thread

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _call(self, act: Callable[[], object]) -> None:
        async def run() -> None:
            act()

        self._do(run())

    async def _listen(self) -> asyncio.Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._server.folder / "server.crt", self._server.folder / "server.key")
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, limit=1 << 22)

    async def _thaw(self) -> None:
        self._thawed.set()
        for task in list(self._frozen):
            task.cancel()
        self._frozen.clear()

    async def _end(self) -> None:
        self._listener.close()
        with self._lock:
            holds = [fault for _, fault, _ in self._faults if isinstance(fault, Hold)]
        for one in holds:
            one.release()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
        await asyncio.sleep(0.01)  # aborted transports close in the loop's next rounds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._request(reader, writer, task)
        except asyncio.CancelledError:
            pass
        finally:
            await _closed(writer, at_once=bool(task.cancelling()))
            self._open.pop(task, None)
            self._frozen.discard(task)

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, _, rest = head.partition("\r\n")
        method, target, _ = first.split(" ")
        lines = [one for one in rest.split("\r\n") if one and not one.lower().startswith("connection:")]
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        asked = Request(
            method, parts.path, parse_qs(parts.query), headers.get("authorization", "").removeprefix("Bearer ")
        )
        fault = self._note(asked)
        await self._thawed.wait()
        if isinstance(fault, Answer | Body):
            writer.write(_written(fault))
            await writer.drain()
            return
        if isinstance(fault, Hold):
            fault.held.set()
            await asyncio.to_thread(fault.released.wait, 60)
        if isinstance(fault, OldVersion):
            target = re.sub(r"resourceVersion=\d+", "resourceVersion=1", target)
        sent = f"{method} {target} HTTP/1.1\r\n" + "\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n"
        await self._pass_on(sent.encode() + body, writer, task, fault.after if isinstance(fault, Cut) else None)

    async def _pass_on(
        self, sent: bytes, writer: asyncio.StreamWriter, task: asyncio.Task[None], limit: int | None
    ) -> None:
        context = ssl.create_default_context(cafile=self._server.ca_file)
        upstream, up = await asyncio.open_connection("127.0.0.1", self._server.port, ssl=context)
        passed = 0
        try:
            up.write(sent)
            while data := await upstream.read(_CHUNK):
                if task in self._frozen:
                    await asyncio.Event().wait()  # until this task is cancelled
                if limit is not None and passed + len(data) >= limit:
                    writer.write(data[: limit - passed])
                    await writer.drain()
                    writer.transport.abort()
                    return
                passed += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.transport.abort()  # the API server is gone
        finally:
            up.transport.abort()

    def _note(self, asked: Request) -> Fault | None:
        with self._lock:
            self.requests.append(asked)
            for index, (pattern, fault, times) in enumerate(self._faults):
                if pattern.search(asked.key):
                    if times > 1:
                        self._faults[index] = pattern, fault, times - 1
                    else:
                        del self._faults[index]
                    return fault
        return None


async def _closed(writer: asyncio.StreamWriter, *, at_once: bool) -> None:
    try:
        if not at_once:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
    finally:
        with contextlib.suppress(AttributeError):  # in early 3.11 a TLS transport that is closed lacks what it asks
            writer.transport.abort()


def _written(fault: Answer | Body) -> bytes:
    if isinstance(fault, Body):
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + fault.data
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": fault.status, "reason": fault.reason}
    body = json.dumps(status | {"message": "injected"}).encode()
    after = "" if fault.retry_after_s is None else f"Retry-After: {fault.retry_after_s}\r\n"
    head = f"HTTP/1.1 {fault.status} Injected\r\nContent-Type: application/json\r\n{after}Connection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def in_front_of(server: ApiServer, token: str = ADMIN_TOKEN) -> Iterator[FaultProxy]:
    """A proxy for the length of the block."""
    with FaultProxy(server, token) as proxy:
        yield proxy
