"""What each route of the dashboard asks of whoever comes: nothing, a sight, or an act of `core.roles`.

Every route is made by `Guard.route`, which finds it here; one that is not here cannot be made. Refused is 403.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from skerry.core import roles
from skerry.dashboard import pages

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Needs:
    """`sight` or `intent` of `core.roles`; neither: anybody."""

    sight: roles.Sight | None = None
    intent: str = ""


ANYBODY = Needs()
_FLEET = Needs(sight=roles.Sight.FLEET)

# (method, path below the base path); a HEAD is a GET.
ROUTES: Mapping[tuple[str, str], Needs] = {
    ("GET", "/"): _FLEET,
    ("GET", "/nodes/{name}"): _FLEET,
    ("GET", "/versions/{name}"): _FLEET,
    ("GET", "/events"): _FLEET,
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/static"): ANYBODY,
}

READER = roles.Grant("anybody", roles.Role.VIEWER)


class Guard:
    """Makes routes. `who` tells the grant of a request's person."""

    def __init__(self, who: Callable[[Request], roles.Grant]) -> None:
        self._who = who

    def route(self, path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        """Raises KeyError for a route that the table does not have."""
        needs = ROUTES[method, path]

        async def guarded(request: Request) -> Response:
            grant = self._who(request)
            if needs.sight is not None and not roles.sees(grant, needs.sight):
                return refused(f"{grant.name} is {grant.role}, which does not see this.", _root(path))
            return await endpoint(request)

        guarded.__name__ = endpoint.__name__  # what requests are counted by
        return Route(path, guarded, methods=[method])


def refused(message: str, root: str) -> Response:
    return HTMLResponse(pages.trouble(message, root, "Not permitted"), status_code=403)


def _root(path: str) -> str:
    return "../" * (path.count("/") - 1)
