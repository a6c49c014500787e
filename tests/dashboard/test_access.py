"""Every route of the dashboard for every role: what is not in the table does not exist."""

from collections.abc import Iterator, Sequence

import dashboard_world as world
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import roles
from skerry.core.roles import Grant, Role
from skerry.dashboard import access, app

NAMES = {"/nodes/{name}": "/nodes/edge-a", "/versions/{name}": "/versions/digits-v1", "/static": "/static/live.js"}


def built(role: Role, base_path: str = "") -> Starlette:
    store = MemoryObjects()
    world.fill(store)
    return app.build(
        store,
        MemoryFleetState(),
        max_streams=0,
        hosts=(),
        clock=lambda: world.NOW_MS,
        base_path=base_path,
        who=lambda _: Grant("ada", role),
    )


def found(routes: Sequence[BaseRoute], base_path: str) -> Iterator[tuple[str, str]]:
    """(method, path below the base path) of each route, also of those that are mounted."""
    for one in routes:
        if isinstance(one, Mount) and one.routes:
            yield from found(one.routes, "")
        elif isinstance(one, Mount):
            yield "GET", one.path
        elif isinstance(one, Route) and one.path != base_path:
            for method in (one.methods or set()) - {"HEAD"}:
                yield method, one.path
        else:  # the path without its slash, which leads to the page
            assert isinstance(one, Route)
            assert one.endpoint is app._with_slash


@pytest.mark.parametrize("base_path", ["", "/tools/skerry"])
def test_the_table_has_every_route_and_no_other(base_path: str) -> None:
    assert set(found(built(Role.VIEWER, base_path).routes, base_path)) == set(access.ROUTES)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("method", "path"), [key for key in access.ROUTES if key[0] == "GET"])
def test_each_role_gets_what_the_table_says(method: str, path: str, role: Role) -> None:
    needs = access.ROUTES[method, path]
    answer = TestClient(built(role), base_url="http://127.0.0.1").request(method, NAMES.get(path, path))
    allowed = needs.sight is None or needs.sight in roles.SIGHTS[role]
    assert answer.status_code == (403 if not allowed else 503 if path == "/events" else 200)


def test_a_route_that_is_not_in_the_table_cannot_be_made() -> None:
    async def page(_: Request) -> Response:
        return PlainTextResponse("")

    with pytest.raises(KeyError):
        access.Guard(lambda _: access.READER).route("/secrets", page)


def test_what_a_role_does_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {**access.ROUTES, ("GET", "/"): access.Needs(sight=roles.Sight.INPUTS)}
    monkeypatch.setattr(access, "ROUTES", inputs)
    statuses = {role: TestClient(built(role), base_url="http://127.0.0.1").get("/").status_code for role in Role}
    assert statuses == {role: 200 if roles.Sight.INPUTS in roles.SIGHTS[role] else 403 for role in Role}
