"""The page over HTTP: whole without scripts, escaped, bounded, read-only, and live by events."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from html.parser import HTMLParser

import httpx
import pytest
import seeded_fleet

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object
from skerry.core import errors, writers
from skerry.dashboard import app, live, pages

NOW = 1_790_000_000_000
EVIL = """x'"><img src=q onerror=alert(1)>"""


class BrokenObjects(MemoryObjects):
    def list(self, kind: str) -> Sequence[Object]:
        raise errors.UnavailableError("objects.db is locked")


class Page(HTMLParser):
    """Collects what a test asks of a page: tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def store() -> MemoryObjects:
    made = MemoryObjects()
    seeded_fleet.seed(made, NOW)
    return made


def client(store: MemoryObjects, *, host: str = "127.0.0.1") -> httpx.AsyncClient:
    state = MemoryFleetState()
    seeded_fleet.seed_readings(state, NOW)
    built = app.build(store, state, max_streams=2, hosts=app.LOOPBACK, clock=lambda: NOW)
    return httpx.AsyncClient(transport=httpx.ASGITransport(built), base_url=f"http://{host}:8700")


async def read(store: MemoryObjects, path: str = "/") -> Page:
    async with client(store) as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200
    return Page(answer.text)


async def test_the_page_says_everything_without_scripts(store: MemoryObjects) -> None:
    page = await read(store)
    words = re.sub(r"\s+", " ", page.text)
    for told in (
        "edge-4 ○ Offline 2 h",
        "edge-5 ? Unknown –",
        "edge-3 ◐ Stale 12 s",
        "Staged b3b3b3b3b3b3: verified and self-tested",
        "the canary has 84 answers of the 200 that are asked for",
        "canary 9 84 too few 10.7% 3.8% to 23.3%",
        "self-test: golden row 3 differs by 1.2",
        "imported-not-worse 0.9640 before, 0.9655 now on 2000 rows",
        "7 dropped",
    ):
        assert told in words, told
    assert any(one.get("http-equiv") == "refresh" for one in page.of("meta"))


async def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(store: MemoryObjects) -> None:
    async with client(store) as browser:
        answer = await browser.get("/")
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        page = Page(answer.text)
        for name in ("script", "link", "img", "iframe"):
            for attributes in page.of(name):
                address = attributes.get("src") or attributes.get("href") or ""
                assert address.startswith("/static/")
                assert (await browser.get(address)).status_code == 200
    assert not any(
        "style" in attributes or any(key.startswith("on") for key in attributes) for _, attributes in page.tags
    )
    assert "style" not in {tag for tag, _ in page.tags}


async def test_names_from_outside_never_become_markup(store: MemoryObjects) -> None:
    report = {"model": EVIL.replace("/", ""), "targetState": "Refused", "reason": EVIL, "version": 1}
    store.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"models": [report], "servingAddress": EVIL})
    spec = {"model": EVIL, "datasetDigest": "sha256:" + "0" * 64, "reason": EVIL}
    store.create("TrainingRun", "evil", spec, manager=writers.OPERATOR)
    store.create("ModelRollout", "evil", {"model": EVIL, "version": EVIL, EVIL: 1}, manager=writers.OPERATOR)
    page = await read(store)
    assert page.text.count("onerror=alert(1)") >= 4
    assert not page.of("img")


async def test_tables_have_captions_scopes_and_every_state_a_word(store: MemoryObjects) -> None:
    page = await read(store)
    assert len(page.of("caption")) == len(page.of("table")) >= 4
    assert all(one.get("scope") in ("col", "row", "rowgroup") for one in page.of("th"))
    assert [one for one in page.of("html") if one.get("lang")]
    named = {one.get("id") for _, one in page.tags}
    assert all(one["aria-labelledby"] in named for one in page.of("section"))


@pytest.mark.parametrize(
    ("path", "shown", "hidden"),
    [
        pytest.param("/?state=Offline", "edge-4", "edge-1", id="a state chooses its nodes"),
        pytest.param("/?state=nonsense", "edge-1", "nonsense", id="an unknown state chooses all"),
        pytest.param("/?page=99", "edge-1", "page 99", id="a page beyond the end is the last"),
        pytest.param("/?page=-1&state=%3Cb%3E", "edge-1", "<b>", id="numbers and words that make no sense"),
    ],
)
async def test_what_an_address_may_ask(store: MemoryObjects, path: str, shown: str, hidden: str) -> None:
    page = await read(store, path)
    nodes = page.text[page.text.index("last heard of") : page.text.index("Models and their versions")]
    assert shown in nodes
    assert hidden not in nodes


async def test_ten_thousand_nodes_come_in_pages(store: MemoryObjects) -> None:
    for number in range(1000):
        store.create("EdgeNode", f"many-{number:05}", {}, manager=writers.GATEWAY)
    first, second = await read(store), await read(store, "/?page=2")
    assert "page 1 of 11, 1005 nodes" in first.text
    names = [set(re.findall(r"many-\d{5}", one.text.split("Models and their")[0])) for one in (first, second)]
    assert len(names[0]) == 99  # the offline node comes first
    assert not names[0] & names[1]


async def test_objects_that_cannot_be_read_are_told_and_not_a_traceback() -> None:
    async with client(BrokenObjects()) as browser:
        page, health = await browser.get("/"), await browser.get("/healthz")
    assert (page.status_code, health.status_code) == (503, 503)
    assert "objects.db is locked" in page.text
    assert "Traceback" not in page.text


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost", 200), ("evil.example", 400), ("127.0.0.1.evil.example", 400)],
)
async def test_a_foreign_name_for_loopback_gets_no_answer(store: MemoryObjects, host: str, status: int) -> None:
    async with client(store, host=host) as browser:
        assert (await browser.get("/")).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_the_page_only_reads(store: MemoryObjects, method: str) -> None:
    async with client(store) as browser:
        before = store.writes
        assert (await browser.request(method, "/")).status_code == 405
    assert store.writes == before


async def test_an_empty_fleet_says_what_to_do_next() -> None:
    page = await read(MemoryObjects())
    for told in ("No node has enrolled yet", "skerry models apply", "No training run yet"):
        assert told in page.text


async def first(events: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await asyncio.wait_for(anext(events), 10) for _ in range(count)]


async def test_a_change_of_an_object_is_told_to_every_open_page(store: MemoryObjects) -> None:
    feed = live.Feed(store, max_streams=2)
    feed.start()
    try:
        streams = [feed.events(), feed.events()]
        for stream in streams:
            assert await first(stream, 2)  # the greeting, and the state as it is
        assert feed.full
        made = store.create("EdgeNode", "late", {}, manager=writers.GATEWAY)
        for stream in streams:
            [event] = await first(stream, 1)
            assert event == b"id: %d\nevent: change\ndata: %d\n\n" % (made.resource_version, made.resource_version)
            await stream.aclose()
        assert not feed.full
    finally:
        await feed.stop()


async def test_a_stopped_feed_ends_its_streams(store: MemoryObjects) -> None:
    feed = live.Feed(store, max_streams=1)
    feed.start()
    stream = feed.events()
    await first(stream, 2)
    await feed.stop()
    rest = [event async for event in stream]
    assert len(rest) <= 1


async def test_more_streams_than_allowed_are_refused(store: MemoryObjects) -> None:
    built = app.build(store, MemoryFleetState(), max_streams=1, hosts=app.LOOPBACK, clock=lambda: NOW)
    stream = built.state.feed.events()
    await first(stream, 1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(built), base_url="http://127.0.0.1") as browser:
        assert (await browser.get("/events")).status_code == 503
    await stream.aclose()


@pytest.mark.parametrize(
    ("ago_s", "shown"), [(0, "now"), (59, "59 s"), (61, "1 min"), (7_300, "2 h"), (2_600_000, "30 d"), (-5, "now")]
)
def test_ages(ago_s: int, shown: str) -> None:
    assert pages.age(NOW - 1000 * ago_s, NOW) == shown


def test_never_is_a_dash() -> None:
    assert pages.age(0, NOW) == "–"
