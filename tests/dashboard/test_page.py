"""The page over HTTP: what it shows of a fleet, and what it does when others lie, stay away or ask for nonsense."""

import dashboard_world as world
import pytest
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors
from skerry.dashboard import app


def client(store: MemoryObjects, live: MemoryFleetState | None = None, *, max_streams: int = 4) -> TestClient:
    built = app.build(
        store,
        live or MemoryFleetState(),
        max_streams=max_streams,
        hosts=(),
        clock=lambda: world.NOW_MS,
    )
    return TestClient(built, base_url="http://127.0.0.1")


def filled(told: str = "the golden answers differ") -> MemoryObjects:
    store = MemoryObjects()
    world.fill(store, told=told)
    return store


def page(store: MemoryObjects, live: MemoryFleetState | None = None, path: str = "/") -> world.Page:
    answer = client(store, live).get(path)
    assert answer.status_code == 200
    return world.Page(answer.text)


@pytest.mark.parametrize(
    ("node", "state", "icon"),
    [
        pytest.param("edge-a", "Online", "●", id="a connected node that was heard of is online"),
        pytest.param("edge-c", "Stale", "◐", id="a node whose connection just ended is stale"),
        pytest.param("edge-d", "Offline", "○", id="a node that is silent is offline whatever its flag says"),
        pytest.param("edge-e", "Unknown", "?", id="a node that was never heard of is unknown"),
    ],
)
def test_state_of_a_node_is_a_word_and_a_sign(node: str, state: str, icon: str) -> None:
    assert page(filled()).row(node)[1] == f"{icon} {state}"


def test_nodes_that_need_a_look_come_first() -> None:
    heads = [row[0] for row in page(filled()).rows if row and row[0].startswith("edge-")]
    assert heads == ["edge-d", "edge-e", "edge-c", "edge-a", "edge-b"]


def test_a_node_shows_version_offload_rate_latency_and_spool() -> None:
    live = MemoryFleetState()
    world.measure(live)
    row = " | ".join(page(filled(), live).row("edge-a"))
    for shown in ("v2", "bbbbbbbbbbbb", "15.5%", "2 degraded", "2.5", "19.8", "12 waiting", "3 dropped"):
        assert shown in row


def test_what_is_not_measured_is_a_dash_and_never_a_zero() -> None:
    row = page(filled()).row("edge-a")
    assert "–" in row
    assert "0.0%" not in " ".join(row)


def test_a_refused_version_is_told_with_its_reason() -> None:
    assert "Refused bbbbbbbbbbbb: the golden answers differ" in " ".join(page(filled()).row("edge-b"))


def test_the_ladder_names_its_waves_and_where_their_nodes_stand() -> None:
    found = page(filled())
    assert "1 of 1 updated, soaking" in found.text
    assert "0 of 3 updated, 1 failed, 1 deferred" in found.text
    assert [one.get("aria-current") for one in found.all("li") if "aria-current" in one] == ["step"]
    assert "edge-b the golden answers differ" in found.text


def test_the_verdict_shows_both_arms_with_bounds_and_says_what_is_missing() -> None:
    found = page(filled())
    assert "? Inconclusive canary has 143 of 200 answers" in found.text
    assert found.row("canary")[:5] == ["canary", "11", "143 too few", "7.7%", "3.1% to 15.8%"]
    assert found.row("baseline")[:5] == ["baseline", "31", "288", "10.8%", "6.6% to 16.7%"]


def test_a_wave_that_an_operator_passed_is_told_as_that_and_not_as_evidence() -> None:
    store = filled()
    word = {"result": "Pass", "final": True, "code": "Promoted", "reason": "an operator passed this wave"}
    waves = [{"name": "canary", "nodes": ["edge-a"], "startedUnixMs": 1, "verdict": word}]
    told = {"type": "AnalysisPassed", "status": "Unknown", "reason": "Promoted", "message": word["reason"]}
    name = store.list("ModelRollout")[0].name
    status = {
        "waves": waves,
        "state": "Succeeded",
        "conditions": [told | {"lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    store.patch("ModelRollout", name, manager="controller", status=status)
    found = page(store)
    assert "⚑ Overridden an operator passed this wave" in found.text
    assert "overridden: an operator passed this wave" in found.text
    assert "✓ Pass an operator" not in found.text and "passed its analysis" not in found.text
    assert [one.get("class") for one in found.all("li") if "overridden" in str(one.get("class"))] == ["overridden"]
    assert "Deferred until they return" not in found.text


def test_versions_say_which_is_stable_where_they_run_and_what_each_gate_said() -> None:
    found = page(filled())
    assert found.row("digits-v1")[1:3] == ["stable", "3"]
    assert found.row("digits-v2")[1:3] == ["published", "1"]
    assert "✕ Fail imported-per-class class one is worse" in found.row("digits-v2")[3]


def test_a_training_run_says_why_it_ran_and_why_it_failed() -> None:
    row = " | ".join(page(filled("class one is worse")).row("digits-run-1"))
    assert "✕ Failed class one is worse" in row
    assert "40 s" in row


def test_what_changed_is_told() -> None:
    assert "ModelVersion digits-v2 published" in page(filled()).text


def test_an_empty_system_says_how_to_begin() -> None:
    found = page(MemoryObjects())
    assert not found.rows
    for told in ("No node has enrolled yet", "No rollout yet", "No model yet", "No training run yet", "Nothing yet"):
        assert told in found.text


def test_without_redis_the_page_says_so_and_shows_all_that_is_decided() -> None:
    found = page(filled(), world.NoRedis())
    assert "live readings are not available: Redis did not answer" in found.text
    assert found.row("edge-a")[1] == "● Online"
    assert found.row("digits-v1")[1] == "stable"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="half a reading"),
        pytest.param("[" * 100_000, id="a reading that is nested too deep"),
        pytest.param(
            '{"requests": -3, "offloaded": "x", "confidenceCounts": {"a": 1}, "p50Ms": "1"}', id="wrong types"
        ),
        pytest.param('{"requests": 1e999, "confidenceCounts": [null, "7"], "p99Ms": NaN}', id="no numbers"),
        pytest.param("17", id="no object"),
    ],
)
def test_a_damaged_reading_breaks_nothing(text: str) -> None:
    live = MemoryFleetState()
    for key in ("node:edge-a:digits", "spool:edge-a", "curator:digits"):
        live.put(key, text, ttl_s=60)
    assert page(filled(), live).row("edge-a")[1] == "● Online"


def test_words_of_others_are_shown_as_text_and_never_become_markup() -> None:
    honest, hostile = page(filled()), page(filled(world.HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in honest.tags]
    assert hostile.text.count("<script>") >= 4, "each of the places where it was put shows it"


def test_hostile_specs_and_verdicts_are_shown_as_text() -> None:
    store = filled()
    gate = {"name": world.HOSTILE, "outcome": world.HOSTILE, "reason": world.HOSTILE}
    verdict = {"outcome": world.HOSTILE, "reason": world.HOSTILE, "gates": [gate, 7]}
    spec = {"model": "digits", "version": 3, "digest": world.HOSTILE, "source": world.HOSTILE, "run": world.HOSTILE}
    store.create("ModelVersion", "digits-v3", spec | {"verdict": verdict}, manager="controller")
    compared = {"result": world.HOSTILE, "reason": world.HOSTILE, "bounds": world.HOSTILE, "canary": [1]}
    waves = [{"name": world.HOSTILE, "nodes": [world.HOSTILE], "startedUnixMs": 1, "verdict": compared}]
    status = {"attempt": 1, "state": "Progressing", "wave": 0, "waves": waves, "deferred": [world.HOSTILE]}
    store.create("ModelRollout", "bad", {"model": "digits", "version": world.HOSTILE}, manager="controller")
    store.patch("ModelRollout", "bad", manager="controller", status=status)
    found = page(store)
    assert not found.all("img")
    assert [one.get("src") for one in found.all("script")] == ["static/live.js"]


def test_one_object_that_cannot_be_read_hides_no_other() -> None:
    store = filled()
    store.patch("EdgeNode", "edge-c", manager="gateway", status={"models": "all of them"})
    store.patch("EdgeModel", "digits", manager="operator", spec={"offlod": {}})
    store.create("ModelRollout", "odd", {"model": "digits", "version": "digits-v2", "wavs": []}, manager="operator")
    store.patch("TrainingRun", "digits-run-1", manager="controller", status={"conditions": "none", "result": [1]})
    found = page(store)
    assert found.row("edge-c")[1] == "? Unknown"
    assert "EdgeNode edge-c" in " ".join(found.row("edge-c"))
    assert "offlod" in found.text
    assert "wavs" in found.text
    assert found.row("edge-a")[1] == "● Online"
    assert found.row("digits-v1")[1] == "stable"
    assert found.row("digits-run-1")[1].startswith("… Waiting")


def test_unreadable_objects_are_told_instead_of_an_empty_fleet() -> None:
    class Away(MemoryObjects):
        def list(self, kind: str) -> list[object]:  # type: ignore[override]  # it only raises
            raise errors.UnavailableError("the object store is locked: is its disk full?")

    reached = client(Away())
    answer = reached.get("/")
    assert answer.status_code == 503
    assert "the object store is locked: is its disk full?" in world.Page(answer.text).text
    assert reached.get("/healthz").json() == {"ok": False, "error": "the object store is locked: is its disk full?"}


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/dashboard.css", "/static/live.js", "/nothing"])
def test_every_answer_forbids_foreign_code_and_framing(path: str) -> None:
    headers = client(filled()).get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_holds_nothing_that_its_own_policy_refuses() -> None:
    live = MemoryFleetState()
    world.measure(live)
    for tag, attributes in page(filled(), live).tags:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "./").startswith(("static/", "nodes/", "versions/", "./", "#"))


def test_tables_have_names_and_heads_for_those_who_do_not_see_them() -> None:
    found = page(filled())
    assert len(found.all("table")) == len(found.all("caption")) == 4
    assert all(one.get("scope") in ("col", "row", "rowgroup") for one in found.all("th"))
    assert found.all("html") == [{"lang": "en"}]
    ids = [one["id"] for _, one in found.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert all(one.get(name) in ids for _, one in found.tags for name in ("aria-labelledby",) if name in one)


def test_without_scripts_the_page_refreshes_by_itself() -> None:
    answer = client(filled()).get("/").text
    assert '<noscript><meta http-equiv="refresh"' in answer


def test_it_only_reads() -> None:
    store = filled()
    before, reached = store.writes, client(store)
    reached.get("/")
    answers = [reached.request(method, "/").status_code for method in ("POST", "PUT", "PATCH", "DELETE")]
    assert answers == [405] * 4
    assert store.writes == before


def test_another_host_name_is_refused() -> None:
    """A page elsewhere whose name was pointed at loopback reads nothing."""
    assert client(filled()).get("/", headers={"Host": "evil.example"}).status_code == 400


def test_pages_of_nodes_hold_all_of_them_once() -> None:
    store = MemoryObjects()
    names = [f"n{number:04}" for number in range(230)]
    for name in names:
        world.node(store, name, world.NOW_MS, connected=True, loaded=(1, world.STABLE))
    pages = [page(store, path=f"/?page={number}") for number in range(1, 13)]
    assert [row[0] for one in pages for row in one.rows if row and row[0].startswith("n0")] == names
    assert "page 2 of 12, 230 nodes" in pages[1].text


def test_nodes_of_one_state() -> None:
    found = page(filled(), path="/?state=Offline")
    assert [row[0] for row in found.rows if row and row[0].startswith("edge-")] == ["edge-d"]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("state=Asleep", id="a state that does not exist"),
        pytest.param(f"state={world.HOSTILE}", id="markup for a state"),
        pytest.param("page=-1", id="a page below the first"),
        pytest.param("page=99999", id="a page after the last"),
        pytest.param("page=9999999999999999999999", id="a number that is too long"),
        pytest.param("page=²", id="a digit that is none"),
        pytest.param("page=", id="no number"),
    ],
)
def test_an_address_with_nonsense_shows_every_node(query: str) -> None:
    found = page(filled(), path=f"/?{query}")
    assert len([row for row in found.rows if row and row[0].startswith("edge-")]) == 5
    assert not found.all("img")


def test_streams_beyond_the_bound_are_refused_and_the_page_still_works() -> None:
    reached = client(filled(), max_streams=0)
    assert reached.get("/events").status_code == 503
    assert reached.get("/").status_code == 200
