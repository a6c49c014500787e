"""What the dashboard counts, for Prometheus: served on a listener of its own, where no page is, so that nobody signs in
to scrape and no ingress shows it."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skerry.adapters.telemetry.metrics import Metrics

_NO_PAGE = "none"


class Instruments:
    """Of one process. `silent_s`: since the object store answered last."""

    def __init__(self, silent_s: Callable[[], float]) -> None:
        self.families = Metrics("dashboard")
        self.requests = self.families.counter(
            "skerry_dashboard_requests_total",
            "Requests by the function that answered (none: no page has that address) and class of status.",
            ("page", "status"),
        )
        self.seconds = self.families.histogram(
            "skerry_dashboard_request_seconds",
            "Until a page was sent whole, without pages that follow live.",
            ("page",),
        )
        self.following = 0
        self.families.gauge(
            "skerry_dashboard_following", "Pages that follow live.", (), lambda: {(): float(self.following)}
        )
        self.families.gauge(
            "skerry_dashboard_objects_silent_seconds",
            "Since the object store answered last.",
            (),
            lambda: {(): silent_s()},
        )


class Counted:
    """Counts every request of `app`. A page is named by its function: addresses are a stranger's to choose."""

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app, self._instruments = app, instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began_s, status, streams = time.monotonic(), 500, False

        async def watched(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                if (b"content-type", b"text/event-stream; charset=utf-8") in message.get("headers", ()):
                    streams = True
                    self._instruments.following += 1
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            page = getattr(scope.get("endpoint"), "__name__", None) or _named(scope)
            self._instruments.requests.add((page, f"{status // 100}xx"))
            if streams:
                self._instruments.following -= 1
            else:
                self._instruments.seconds.observe((page,), time.monotonic() - began_s)


def _named(scope: Scope) -> str:
    """Of a mounted application, like the one for static files, its class."""
    return type(scope["endpoint"]).__name__ if "endpoint" in scope else _NO_PAGE
