"""The HTTP side: the model repository as static files with ranges, health, and metrics.

Only `metadata/` and `targets/` are served, nothing whose name begins with a dot, and nothing through a link; from a
folder, or from object storage (`repository_files`). Trust is not decided here: the files are signed, and nodes verify
them.
"""

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from skerry.adapters import blobs
from skerry.adapters.telemetry import metrics as telemetry
from skerry.gateway import metrics, repository_files

LONGEST_SILENCE_S = 30.0


class _Files(StaticFiles):
    """One folder. `immutable`: a file's name holds its hash, so caches may keep it for ever."""

    def __init__(self, folder: Path, *, immutable: bool) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True  # until the controller has made the folder, its files are simply not found
        self._cache = "public, max-age=31536000, immutable" if immutable else "no-cache"

    async def get_response(self, path: str, scope: Scope) -> Response:
        if any(segment.startswith(".") for segment in path.split("/") if path != "."):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = self._cache
        return response


def build(
    repository_url: str, instruments: metrics.Instruments, silent_s: Callable[[], float], is_ready: Callable[[], bool]
) -> Starlette:
    """`/repository/{metadata,targets}/…` and the pages of `build_pages`."""
    return Starlette(routes=[*files(repository_url), *_pages(instruments, silent_s, is_ready)])


def build_pages(
    instruments: metrics.Instruments, silent_s: Callable[[], float], is_ready: Callable[[], bool]
) -> Starlette:
    """`/healthz` (503: the object store has been silent too long), `/readyz` (503: it ends), `/metrics`."""
    return Starlette(routes=_pages(instruments, silent_s, is_ready))


def _pages(
    instruments: metrics.Instruments, silent_s: Callable[[], float], is_ready: Callable[[], bool]
) -> list[BaseRoute]:
    async def health(_: Request) -> Response:
        silent = silent_s()
        ok = silent < LONGEST_SILENCE_S
        return JSONResponse({"ok": ok, "objectsSilentSeconds": round(silent, 1)}, status_code=200 if ok else 503)

    async def ready(_: Request) -> Response:
        return JSONResponse({"ok": is_ready()}, status_code=200 if is_ready() else 503)

    async def show(_: Request) -> Response:
        instruments.objects_silent_s = silent_s()
        return Response(instruments.render(), media_type=telemetry.CONTENT_TYPE)

    return [Route("/healthz", health), Route("/readyz", ready), Route("/metrics", show)]


def files(url: str) -> list[BaseRoute]:
    """`/repository/{metadata,targets}/…` of a folder or of object storage."""
    if folder := blobs.folder(url):
        return [
            Mount("/repository/metadata", _Files(folder / "metadata", immutable=False)),
            Mount("/repository/targets", _Files(folder / "targets", immutable=True)),
        ]
    shared = blobs.open_shared(url)
    return [
        Route("/repository/metadata/{path:path}", repository_files.Files(shared, "metadata", immutable=False).answer),
        Route("/repository/targets/{path:path}", repository_files.Files(shared, "targets", immutable=True).answer),
    ]
