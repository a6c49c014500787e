"""The list of nodes that may speak now, for the teacher: it verifies certificates as the gateway does, and has no
objects to ask who was revoked meanwhile. The list names nobody (`core.allowlist`), so anybody who reaches it may read
it."""

import functools
import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.core import allowlist, identity
from skerry.gateway.identity import Guard

PATH = "/members"
_REMEMBERED = 100_000


def route(guard: Guard) -> Route:
    """GET of the list; its validator spares a reader that knows it already."""

    listed = _Listed(guard)

    async def answer(request: Request) -> Response:
        data, tag = listed.now()
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type="text/plain")

    return Route(PATH, answer)


class _Listed:
    """The list and its validator: made anew when somebody was let in or kept out, and not when somebody asks."""

    def __init__(self, guard: Guard) -> None:
        self._guard, self._made_of, self._made = guard, -1, (b"", "")

    def now(self) -> tuple[bytes, str]:
        if self._made_of != (admissions := self._guard.view.admissions):
            data = render(self._guard)
            self._made_of, self._made = admissions, (data, f'"{hashlib.sha256(data).hexdigest()}"')
        return self._made


def render(guard: Guard) -> bytes:
    """Every node that the guard admits, as the objects stand."""
    return allowlist.render(_entry(guard.domain, guard.tenant, *node) for node in guard.view.allowed())


@functools.lru_cache(maxsize=_REMEMBERED)
def _entry(domain: str, tenant: str, node: str, key: str) -> str:
    return allowlist.entry_of(identity.NodeId(domain, tenant, node), key)
