"""The door through which training jobs reach object storage: a few blobs over HTTPS, by ticket, and nothing else.

A job runs somebody's network on somebody's data, so it holds no key and no credential of the storage. Content is
taken only when it is what its digest says; a body is bounded in size, in time (`transfers`), and in how many there are
at once, of all jobs and of one. Which paths a ticket opens is `core.job_tickets`.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, errors, job_tickets
from skerry.gateway import transfers

_PIECE_BYTES = 256 << 10

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
        self._turns = transfers.Turns()

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
                await self._get(send, path, run)
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

    async def _get(self, send: Send, path: str, run: str) -> None:
        """In pieces, each when the one before is on its way: a reader that is too slow gives its turn back."""
        async with self._turns.one(run):
            data = await asyncio.to_thread(lambda: self._blobs.read(path, max_bytes=contract.MAX_CONTENT_BYTES))
            headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(data))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            pace = transfers.Pace(path)
            try:
                for at in range(0, len(data), _PIECE_BYTES):
                    piece = data[at : at + _PIECE_BYTES]
                    await pace.keep(send({"type": "http.response.body", "body": piece, "more_body": True}))
                    pace.moved(len(piece))
                await send({"type": "http.response.body", "body": b""})
            except errors.DeadlineError as exc:
                _log.warning("job_too_slow", run=run, path=path, message=str(exc))
                raise ClientDisconnect from exc  # it has begun: cut off, it is no whole body for anybody

    async def _put(self, request: Request, path: str, run: str) -> Response:
        limit = contract.MAX_CONTENT_BYTES if path.startswith("sha256/") else contract.MAX_PROPOSAL_BYTES
        _check_length(request, path, limit)
        async with self._turns.one(run):
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


def _check_length(request: Request, path: str, limit: int) -> None:
    """Refuse by the announced length, before a byte is read."""
    announced = request.headers.get("content-length", "")
    if announced and (not announced.isdigit() or len(announced) > 18 or int(announced) > limit):
        raise errors.TooLargeError(f"{path} would have {announced[:20]} bytes, at most {limit} are taken")


async def _body(request: Request, path: str, limit: int) -> bytes:
    body, pace = bytearray(), transfers.Pace(path)
    pieces = aiter(request.stream())
    while (piece := await pace.keep(anext(pieces, None))) is not None:
        if len(body) + len(piece) > limit:
            raise errors.TooLargeError(f"{path} has more than the {limit} bytes that are taken")
        body += piece
        pace.moved(len(piece))
    return bytes(body)
