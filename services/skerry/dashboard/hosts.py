"""Which names the dashboard answers to. A page of somebody else's site may make its own name point at this address (DNS
rebinding) and would then read the dashboard as its own: the name that the browser asks for gives it away.

No such name can be an address, `localhost`, a name without a dot, or one of a cluster's own services; every other name
must be given.
"""

import ipaddress
from collections.abc import Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_OF_CLUSTERS = (".svc", ".svc.cluster.local")


def is_allowed(host: str, names: Collection[str]) -> bool:
    """May a request ask for this `Host`? `names` are given ones: `*.` in front takes any subdomain, `*` is any name."""
    name = _name(host)
    if name is None:
        return False
    if _is_address(name) or name == "localhost" or name.endswith((".localhost", *_OF_CLUSTERS)):
        return True
    return "." not in name or any(_matches(name, given.lower()) for given in names)


def _name(host: str) -> str | None:
    """Without the port, in lower case; None for what is no host at all."""
    host = host.strip().lower()
    if host.startswith("["):
        inside, bracket, rest = host[1:].partition("]")
        return inside if bracket and (not rest or rest.startswith(":")) else None
    name, _, port = host.partition(":")
    return name.rstrip(".") if name and (not port or port.isdecimal()) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, given: str) -> bool:
    return given in ("*", name) or (given.startswith("*.") and name.endswith(given[1:]))


class CheckedHost:
    """ASGI middleware: 400 with the reason for requests under another name."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [value for name, value in scope["headers"] if name == b"host"]
            host = given[0].decode("latin-1") if len(given) == 1 else ""
            if not is_allowed(host, self._names):
                text = f"This dashboard does not answer to {host[:120]!r}: name it in SKERRY_HOSTS if it shall.\n"
                await PlainTextResponse(text, status_code=400)(scope, receive, send)
                return
        await self._app(scope, receive, send)
