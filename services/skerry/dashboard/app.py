"""The dashboard over HTTP: the first page, its live events, health, static files. It only reads; nothing is written.
What each route asks of whoever comes is the table of `access`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skerry.adapters.fleetstate import FleetState
from skerry.adapters.objects import Objects
from skerry.core import errors
from skerry.core.liveness import State
from skerry.core.roles import Grant
from skerry.dashboard import access, node_table, pages, queries, trail
from skerry.dashboard.hosts import CheckedHost
from skerry.dashboard.live import Feed

_MAX_PAGE = 10_000
_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def build(
    objects: Objects,
    fleetstate: FleetState,
    *,
    max_streams: int,
    hosts: tuple[str, ...],
    clock: Callable[[], int],
    base_path: str = "",
    who: Callable[[Request], Grant] = lambda _: access.READER,
) -> Starlette:
    """The application. `hosts` are names it answers to besides its own (`dashboard.hosts`); `clock` gives Unix
    milliseconds. It answers below `base_path` (like `/skerry`) as well as at the root; its links are relative, so that
    a proxy may strip that path. `who` tells what whoever sent a request may see and do."""
    feed, table, trail_ = Feed(objects, max_streams), node_table.NodeTable(), trail.Trail(objects)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        feed.start()
        try:
            yield
        finally:
            await feed.stop()

    async def overview(request: Request) -> Response:
        choice = _choice(request)
        try:
            page = await asyncio.to_thread(
                lambda: pages.overview(
                    queries.fleet(objects, fleetstate, now_ms=clock(), choice=choice, table=table), choice.state
                )
            )
        except errors.UnavailableError as exc:
            return HTMLResponse(pages.trouble(str(exc)), status_code=503)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def node(request: Request) -> Response:
        name, now_ms = request.path_params["name"], clock()
        try:
            seen = await asyncio.to_thread(lambda: queries.node(objects, fleetstate, name, now_ms=now_ms, table=table))
            acts = await asyncio.to_thread(lambda: trail_.of("EdgeNode", name)) if seen else ()
        except errors.UnavailableError as exc:
            return HTMLResponse(pages.trouble(str(exc), "../"), status_code=503)
        if seen is None:
            text = f"There is no node {name[:120]!r}: it was deleted, or never enrolled."
            return HTMLResponse(pages.trouble(text, "../", "No such node"), status_code=404)
        return HTMLResponse(pages.node(seen, acts, now_ms), headers={"Cache-Control": "no-store"})

    async def version(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            seen = await asyncio.to_thread(lambda: queries.version_report_of(objects, name))
            about = await asyncio.to_thread(lambda: queries.version_and_rollouts(objects, name)) if seen else ()
            acts = await asyncio.to_thread(lambda: trail_.of_all(about))
        except errors.UnavailableError as exc:
            return HTMLResponse(pages.trouble(str(exc), "../"), status_code=503)
        if seen is None:
            text = f"There is no version {name[:120]!r}."
            return HTMLResponse(pages.trouble(text, "../", "No such version"), status_code=404)
        return HTMLResponse(pages.version(seen, acts, clock()), headers={"Cache-Control": "no-store"})

    async def events(_: Request) -> Response:
        if feed.full:
            return Response("too many pages follow live already", status_code=503)
        return StreamingResponse(feed.events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def health(_: Request) -> Response:
        began = time.monotonic()
        try:
            await asyncio.to_thread(objects.list, "EdgeFleet")
        except errors.SkerryError as exc:
            return JSONResponse({"ok": False, "error": str(exc)}, status_code=503)
        return JSONResponse({"ok": True, "milliseconds": round(1e3 * (time.monotonic() - began), 1)})

    guard = access.Guard(who)
    routes: list[BaseRoute] = [
        guard.route("/", overview),
        guard.route("/nodes/{name}", node),
        guard.route("/versions/{name}", version),
        guard.route("/events", events),
        guard.route("/healthz", health),
        Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
    ]
    if base_path:
        routes = [Route(base_path, _with_slash), Mount(base_path, routes=routes), *routes]
    built = Starlette(
        routes=routes,
        middleware=[Middleware(CheckedHost, names=hosts), Middleware(_SafeHeaders)],
        lifespan=lifespan,
    )
    built.state.feed = feed
    return built


async def _with_slash(request: Request) -> Response:
    """To the page proper, relative to what the browser asked for: a proxy may have another scheme and host."""
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={"Location": f"{request.url.path.rpartition('/')[2]}/{query}"})


def _choice(request: Request) -> queries.Choice:
    """What the address asks for; anything that it does not understand asks for nothing."""
    state, page = request.query_params.get("state", ""), request.query_params.get("page", "1")
    known = State(state) if state in list(State) else None
    return queries.Choice(
        known, min(_MAX_PAGE, max(1, int(page))) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    )


class _SafeHeaders:
    """Adds to every response what a browser needs to hear."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
