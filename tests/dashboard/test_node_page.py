"""The page of one node: who it is, what is wrong with it, and what was not taken of its uploads."""

import dashboard_world as world
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import writers
from skerry.dashboard import app

KEY = "sha256:" + "9" * 64


def page(name: str, path: str = "/nodes/", told: str = "", status: int = 200) -> world.Page:
    store, live = MemoryObjects(), MemoryFleetState()
    world.fill(store)
    world.measure(live)
    conflict = {"type": "NameConflict", "status": "True", "reason": "TwoAgents", "message": f"two run as edge-a {told}"}
    refusals = {"counts": {"UnknownModel": 7, "New": 1}, "message": f"no EdgeModel x {told}", "atUnixMs": world.NOW_MS}
    said = {"conditions": [conflict], "refusals": refusals, "waitingKey": KEY, "agentVersion": f"1.2 {told}"}
    store.patch("EdgeNode", "edge-a", manager=writers.GATEWAY, status=said)
    built = app.build(store, live, max_streams=1, hosts=(), clock=lambda: world.NOW_MS, base_path="/fleet")
    answer = TestClient(built, base_url="http://127.0.0.1").get(f"{path}{name}")
    assert answer.status_code == status
    return world.Page(answer.text)


def test_it_shows_a_name_conflict_a_waiting_key_and_refused_uploads_with_their_reasons() -> None:
    found = page("edge-a")
    for words in (
        "Two agents have this name: two run as edge-a",
        f"A key waits for approval: {KEY}",
        "skerry nodes approve edge-a --key 9999999999999999",
        "7 of a model that does not exist",
        "1 New",
        "no EdgeModel x",
        "12 waiting, 25 uploaded",
    ):
        assert words in found.text
    assert found.row("state")[1].startswith("● Online")
    assert "bbbbbbbbbbbb" in found.row("digits")[1]


def test_its_links_are_relative_so_that_a_proxy_may_strip_a_path() -> None:
    for path in ("/nodes/", "/fleet/nodes/"):
        found = page("edge-a", path)
        assert [one["src"] for one in found.all("script")] == ["../static/live.js"]
        assert "../#nodes" in [one.get("href") for one in found.all("a")]


def test_a_node_that_is_not_there_and_one_that_says_nothing_are_told_apart() -> None:
    assert "There is no node" in page("ghost", status=404).text
    assert page("edge-e").row("state")[1].startswith("? Unknown")


def test_what_others_wrote_is_text_and_no_markup() -> None:
    found = page("edge-a", told=world.HOSTILE)
    assert "<script>document.title" in found.text
    assert len(found.all("script")) == 1
    assert found.all("img") == []


def test_the_first_page_leads_to_it() -> None:
    assert "nodes/edge-a" in [one.get("href") for one in page("", "/").all("a")]
