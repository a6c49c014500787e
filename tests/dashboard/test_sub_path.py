"""The page below a path of a proxy, which passes that path on or strips it: every link stays below it."""

import re
from urllib.parse import urljoin

import dashboard_world as world
import pytest
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.dashboard import app

PROXY = "https://ops.example/tools/skerry/"


def links(html: str) -> set[str]:
    return set(re.findall(r'(?:href|src)="([^"]*)"', html))


def site(*, base_path: str) -> TestClient:
    store = MemoryObjects()
    world.fill(store)
    built = app.build(
        store,
        MemoryFleetState(),
        max_streams=4,
        hosts=(),
        clock=lambda: world.NOW_MS,
        base_path=base_path,
    )
    return TestClient(built, base_url="http://127.0.0.1")


@pytest.mark.parametrize("query", ["", "?state=Online"])
def test_every_link_stays_below_the_path_that_a_proxy_strips(query: str) -> None:
    http = site(base_path="")
    found = links(http.get(f"/{query}").text)
    assert {"static/live.js", "static/dashboard.css", "static/icon.svg"} <= found
    assert any("state=Offline" in link for link in found)
    for link in found:
        inside = urljoin(PROXY, link).removeprefix(PROXY)
        assert inside != urljoin(PROXY, link), link
        assert http.get(f"/{inside}").status_code == 200


def test_a_proxy_may_pass_its_path_on() -> None:
    http = site(base_path="/tools/skerry")
    for path in ("", "healthz", "static/live.js", "?state=Stale"):
        assert http.get(f"/tools/skerry/{path}").status_code == 200
    assert http.get("/healthz").status_code == 200, "probes ask the process itself"


def test_the_path_without_its_slash_leads_to_the_page_whatever_the_proxys_name_is() -> None:
    answer = site(base_path="/tools/skerry").get("/tools/skerry?page=2", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "skerry/?page=2")
    assert urljoin("https://ops.example/tools/skerry", answer.headers["location"]) == f"{PROXY}?page=2"


def test_events_are_asked_for_below_the_path() -> None:
    script = site(base_path="").get("/static/live.js").text
    assert 'new EventSource(new URL("../events", document.currentScript.src))' in script  # on a node's page, too
    assert urljoin(f"{PROXY}static/live.js", "../events") == f"{PROXY}events"
    assert not re.search(r'(?:fetch|EventSource)\("/', script)
