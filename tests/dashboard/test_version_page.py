"""The page of one version: what became of its network, by the objects alone."""

from typing import Any

import dashboard_world as world
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.dashboard import app

TOLD: dict[str, Any] = {
    "scheme": "pruned 50%, static QDQ",
    "int8": True,
    "int8Share": 1.0,
    "reason": "pruned 50%, static QDQ, 36 bytes: the smallest of 2 that pass their gates",
    "floatBytes": 400_000,
    "networkBytes": 36_000,
    "goldenBytes": 20_000,
    "manifestBytes": 7_000,
    "wireBytes": 63_000,
    "tried": [
        {
            "scheme": "float32",
            "bytes": 400_000,
            "accuracy": 0.99,
            "latency_us": 4.0,
            "passed": True,
            "reason": "larger",
        },
        {"scheme": "QAT", "bytes": None, "latency_us": None, "passed": False, "reason": "cannot be captured"},
    ],
    "nodes": [{"op": "Conv", "name": "first", "bytes": 30_000, "int8": True}],
    "perClass": {"float": {"zero": 1.0, "one": 0.5}, "int8": {"zero": 0.75, "one": None}},
}


def page(name: str, spec: dict[str, Any], path: str = "/versions/", status: int = 200) -> world.Page:
    store = MemoryObjects()
    world.fill(store)
    whole = {"model": "digits", "version": 7, "digest": world.NEXT, "targetPath": "retrained/digits/7"} | spec
    store.create("ModelVersion", "digits-v7", whole, manager="controller")
    built = app.build(
        store, MemoryFleetState(), max_streams=1, hosts=(), clock=lambda: world.NOW_MS, base_path="/fleet"
    )
    answer = TestClient(built, base_url="http://127.0.0.1").get(f"{path}{name}")
    assert answer.status_code == status
    return world.Page(answer.text)


def test_it_shows_sizes_apart_what_was_tried_layers_and_recall() -> None:
    found = page("digits-v7", {"compression": TOLD, "verdict": world.VERDICT})
    assert ["36,000", "20,000", "7,000", "63,000", "400,000"] in found.rows
    assert found.row("QAT") == ["QAT", "–", "–", "–", "✕ Fail", "cannot be captured"]
    assert found.row("first") == ["first", "Conv", "30,000", "int8"]
    assert [found.row("zero"), found.row("one")] == [["zero", "1.0000", "0.7500"], ["one", "0.5000", "–"]]
    assert "the smallest of 2 that pass their gates" in found.text and "class one is worse" in found.text


def test_of_what_an_earlier_release_made_it_says_what_is_not_known() -> None:
    found = page("digits-v7", {})
    assert "Not known: sizes and layers" in found.text and "skerry versions show digits-v7" in found.text


def test_the_first_page_leads_to_it_by_a_relative_link() -> None:
    for path in ("/", "/fleet/"):
        links = [one.get("href") for one in page("", {}, path).all("a")]
        assert "versions/digits-v7" in links
    assert "../#models" in [one.get("href") for one in page("digits-v7", {}, "/fleet/versions/").all("a")]


def test_what_a_run_wrote_is_text_and_no_markup() -> None:
    hostile = {**TOLD, "reason": world.HOSTILE, "scheme": world.HOSTILE, "tried": [{"scheme": world.HOSTILE}]}
    found = page("digits-v7", {"compression": hostile, "verdict": {"outcome": world.HOSTILE, "gates": [7, {}]}})
    assert "<script>document.title" in found.text
    assert len(found.all("script")) == 1 and found.all("img") == []


def test_a_version_that_is_not_there_is_told() -> None:
    assert "There is no version" in page("ghost", {}, status=404).text
