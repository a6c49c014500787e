"""The door through which training jobs reach object storage: a few blobs over HTTPS, by ticket, and nothing else.

A job runs somebody's network on somebody's data, so it holds no key and no credential of the storage. Content is
taken only when it is what its digest says; a body is bounded in size, in time, and in how many there are at once. Which
paths a ticket opens is `core.job_tickets`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, errors, job_tickets

BODIES_AT_ONCE = 2  # each is in memory as a whole
WAIT_S = 20.0  # for a turn, before the caller is told to come again
IDLE_S = 30.0  # between two pieces of a body

_log = logs.logger("gateway")

_STATUS: tuple[tuple[type[errors.SkerryError], int], ...] = (
    (errors.NotFoundError, 404),
    (errors.TooLargeError, 413),
    (errors.UnavailableError, 503),
    (errors.IntegrityError, 422),
    (errors.RejectedError, 403),
    (errors.InputError, 400),
)


def read_key(path: Path) -> bytes:
    """The key of tickets from its file. Raises InputError when it is not there or too short."""
    try:
        return job_tickets.check_key(path.read_bytes())
    except OSError as exc:
        raise errors.InputError(f"the key of tickets cannot be read from {path}: {exc.strerror}") from exc


def build(blobs: Blobs, key: bytes, now_unix_s: Callable[[], int], beside: Sequence[Route] = ()) -> Starlette:
    """The door as an ASGI application: GET, HEAD and PUT of `/<blob path>` with `Authorization: Bearer <ticket>`.
    `beside`: what else is reached through it, without a ticket."""
    return Starlette(routes=[*beside, Route("/{path:path}", _Door(blobs, job_tickets.check_key(key), now_unix_s))])


class _Door:
    def __init__(self, blobs: Blobs, key: bytes, now_unix_s: Callable[[], int]) -> None:
        self._blobs, self._key, self._now_unix_s = blobs, key, now_unix_s
        self._turns = asyncio.Semaphore(BODIES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        path = request.path_params["path"]
        try:
            run = await self._admit(request, path)
            if request.method == "PUT":
                await (await self._put(request, path, run))(scope, receive, send)
            elif request.method == "HEAD":
                found = await asyncio.to_thread(self._blobs.exists, path)
                await Response(status_code=200 if found else 404)(scope, receive, send)
            else:
                await self._get(scope, receive, send, path)
        except ClientDisconnect:
            return
        except errors.SkerryError as exc:
            await self._refuse(request, exc)(scope, receive, send)

    async def _admit(self, request: Request, path: str) -> str:
        """The run whose ticket opens this path. A ticket is worth nothing once its run has ended."""
        kind, _, ticket = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise errors.RejectedError("a request needs the header Authorization: Bearer <ticket of a training job>")
        run = job_tickets.check(self._key, ticket.strip(), now_unix_s=self._now_unix_s())
        if reason := job_tickets.why_denied(path, request.method, run):
            raise errors.RejectedError(reason)
        if not await asyncio.to_thread(self._blobs.exists, contract.snapshot_path(run)):
            raise errors.RejectedError(f"run {run} has ended, or never began: its ticket opens nothing")
        return run

    async def _get(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        async with _turn(self._turns):
            data = await asyncio.to_thread(lambda: self._blobs.read(path, max_bytes=contract.MAX_CONTENT_BYTES))
            await Response(data, media_type="application/octet-stream")(scope, receive, _impatient(send))

    async def _put(self, request: Request, path: str, run: str) -> Response:
        limit = contract.MAX_CONTENT_BYTES if path.startswith("sha256/") else contract.MAX_PROPOSAL_BYTES
        _check_length(request, path, limit)
        async with _turn(self._turns):
            data = await _body(request, path, limit)
            if path.startswith("sha256/"):
                digest = f"sha256:{path.rpartition('/')[2]}"
                await asyncio.to_thread(digests.verify, data, digest, f"content sent for {path}")
                if await asyncio.to_thread(self._blobs.exists, path):
                    return Response(status_code=200)
            await asyncio.to_thread(self._blobs.write, path, data)
        _log.info("job_wrote", run=run, path=path, size_bytes=len(data))
        return Response(status_code=201)

    def _refuse(self, request: Request, exc: errors.SkerryError) -> Response:
        status = next(code for kind, code in _STATUS if isinstance(exc, kind))
        if status in (403, 422):
            _log.warning("job_refused", method=request.method, path=request.url.path[:200], reason=str(exc))
        # The rest of a body that nobody reads would be taken for the next request. HEAD has no body to say why in.
        headers = {
            "Connection": "close",
            contract.REASON_HEADER: " ".join(str(exc).encode("ascii", "replace").decode().split()),
        }
        if status == 503:
            headers["Retry-After"] = "1"
        return PlainTextResponse(f"{exc}\n", status, headers)


@contextlib.asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    """One of the few bodies that are in memory at a time."""
    try:
        async with asyncio.timeout(WAIT_S):
            await turns.acquire()
    except TimeoutError as exc:
        raise errors.OverloadedError(
            f"{BODIES_AT_ONCE} other transfers of training jobs are under way: try again"
        ) from exc
    try:
        yield
    finally:
        turns.release()


def _check_length(request: Request, path: str, limit: int) -> None:
    """Refuse by the announced length, before a byte is read."""
    announced = request.headers.get("content-length", "")
    if announced and (not announced.isdigit() or len(announced) > 18 or int(announced) > limit):
        raise errors.TooLargeError(f"{path} would have {announced[:20]} bytes, at most {limit} are taken")


async def _body(request: Request, path: str, limit: int) -> bytes:
    body = bytearray()
    pieces = request.stream()
    while (piece := await _next(pieces, path)) is not None:
        if len(body) + len(piece) > limit:
            raise errors.TooLargeError(f"{path} has more than the {limit} bytes that are taken")
        body += piece
    return bytes(body)


async def _next(pieces: AsyncIterator[bytes], path: str) -> bytes | None:
    try:
        async with asyncio.timeout(IDLE_S):
            return await anext(pieces)
    except StopAsyncIteration:
        return None
    except TimeoutError as exc:
        raise errors.DeadlineError(f"nothing more of {path} came for {IDLE_S:g} s") from exc


def _impatient(send: Send) -> Send:
    """A caller that takes nothing for long gives its turn back."""

    async def sent(message: object) -> None:
        try:
            async with asyncio.timeout(10 * IDLE_S):
                await send(message)  # type: ignore[arg-type]  # passed through as it came
        except TimeoutError as exc:
            raise ClientDisconnect from exc

    return sent
