"""Files of the model repository out of object storage: GET and HEAD with ranges, validators and bounded memory.

The counterpart of `starlette.staticfiles` where there is no directory. Names are blob paths and nothing else, so there
is no way out of the two folders that `gateway.repository` mounts.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.core import errors

CHUNK_BYTES = 256 << 10  # of a body in memory, per caller
READS_AT_ONCE = 32
MAX_METADATA_BYTES = 16 << 20
_FOR_EVER = "public, max-age=31536000, immutable"
T = TypeVar("T")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to `end` of a file of `size_bytes`. `is_part`: they were asked for by name."""

    start: int
    end: int
    size_bytes: int
    is_part: bool


def span(header: str, size_bytes: int) -> Span | None:
    """What a Range header asks for: everything when it is not one range (RFC 9110 lets a server ignore it), None when
    that lies behind the end."""
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or asked[0] == "bytes=-":
        return Span(0, size_bytes, size_bytes, is_part=False)
    first, last = asked[1], asked[2]
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    return Span(start, end, size_bytes, is_part=True) if start < end else None


class Files:
    """One folder of the storage. `immutable`: a file's name begins with the hash of its content, so caches may keep it
    for ever, and the hash is its validator. Other files are small, and read whole: they may change any time."""

    def __init__(self, blobs: SharedBlobs, folder: str, *, immutable: bool) -> None:
        self._blobs, self._folder, self._immutable = blobs, folder, immutable
        self._reading = asyncio.Semaphore(READS_AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """The answer to GET or HEAD of `path_params["path"]`: 200, 206, 304, 404, 416, or 503 without storage."""
        path = f"{self._folder}/{request.path_params['path']}"
        try:
            if self._immutable:
                size_bytes = (await self._call(self._blobs.stat, path)).size_bytes
                return _answer(
                    request, path.rpartition("/")[2].partition(".")[0], _FOR_EVER, size_bytes, self._reader(path)
                )
            data = await self._call(lambda: self._blobs.read(path, max_bytes=MAX_METADATA_BYTES))
            return _answer(request, hashlib.sha256(data).hexdigest(), "no-cache", len(data), _within(data))
        except errors.UnavailableError as exc:
            raise HTTPException(503, headers={"Retry-After": "1"}) from exc
        except errors.SkerryError as exc:
            raise HTTPException(404) from exc

    def _reader(self, path: str) -> Callable[[Span], AsyncIterator[bytes]]:
        async def body(wanted: Span) -> AsyncIterator[bytes]:
            at = wanted.start
            while at < wanted.end:
                part = await self._call(self._blobs.read_part, path, at, min(CHUNK_BYTES, wanted.end - at))
                if not part:
                    raise errors.UnavailableError(f"{path} became shorter while it was sent")
                yield part
                at += len(part)

        return body

    async def _call(self, read: Callable[..., T], *arguments: object) -> T:
        async with self._reading:
            return await asyncio.to_thread(read, *arguments)


def _within(data: bytes) -> Callable[[Span], AsyncIterator[bytes]]:
    async def body(wanted: Span) -> AsyncIterator[bytes]:
        yield data[wanted.start : wanted.end]

    return body


def _answer(
    request: Request, validator: str, cache: str, size_bytes: int, body: Callable[[Span], AsyncIterator[bytes]]
) -> Response:
    tag = f'"{validator}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range", "") if request.headers.get("if-range", tag) == tag else ""
    wanted = span(asked, size_bytes)
    if wanted is None:
        raise HTTPException(416, headers={"Content-Range": f"bytes */{size_bytes}"})
    headers["Content-Length"] = str(wanted.end - wanted.start)
    if wanted.is_part:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{size_bytes}"
    status = 206 if wanted.is_part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    return StreamingResponse(body(wanted), status, headers, media_type="application/octet-stream")
