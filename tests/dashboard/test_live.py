"""The feed that tells open pages to ask again: on a change, now and then without one, within its bound, to its end."""

import asyncio

import pytest

from skerry.adapters.objects.memory import MemoryObjects
from skerry.dashboard import live


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(live, "LEAST_PAUSE_S", 0.01)


async def test_a_change_of_an_object_is_told_with_its_version() -> None:
    store = MemoryObjects()
    feed = live.Feed(store, 1)
    feed.start()
    told = feed.events()
    assert (await anext(told)).startswith(b"retry:")
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    version = store.create("EdgeNode", "edge-a", {}, manager="gateway").resource_version
    async with asyncio.timeout(4):
        assert await waiting == b"id: %d\nevent: change\ndata: %d\n\n" % (version, version)
    await told.aclose()
    await feed.stop()


async def test_a_page_asks_again_although_nothing_changes(impatient: None) -> None:
    feed = live.Feed(MemoryObjects(), 1)
    told = feed.events()
    await anext(told)
    async with asyncio.timeout(4):
        assert b"event: change" in await anext(told)
    await told.aclose()


async def test_a_page_that_leaves_makes_room_for_another() -> None:
    feed = live.Feed(MemoryObjects(), 1)
    told = feed.events()
    await anext(told)
    assert feed.full
    await told.aclose()
    assert not feed.full


async def test_stopping_ends_every_stream_and_the_watch(impatient: None) -> None:
    feed = live.Feed(MemoryObjects(), 2)
    feed.start()
    told = feed.events()
    await anext(told)
    async with asyncio.timeout(8):
        await feed.stop()
        rest = [one async for one in told]
    assert len(rest) <= 1
    assert not feed.full
