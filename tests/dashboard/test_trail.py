"""What people did is on the object's page: the newest, read seldom, and markup of theirs is text."""

from typing import Any

import pytest

from skerry.adapters import acts
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import audit, errors, intents, version_report
from skerry.dashboard import pages, trail

NODE = "edge-1"


class Counted(MemoryObjects):
    asked = 0

    def list(self, kind: str, **wanted: Any) -> Any:
        self.asked += kind == audit.KIND
        return super().list(kind, **wanted)


@pytest.fixture
def store() -> Counted:
    made = Counted()
    made.create("EdgeNode", NODE, {}, manager="gateway")
    return made


def cordon(store: MemoryObjects, by: str, reason: str = "", *, on: bool = True) -> None:
    acts.Acts(store, audit.Actor(by), reason).change(
        "cordon", "EdgeNode", NODE, lambda known: intents.cordon(known, on=on)
    )


def test_a_page_that_follows_live_reads_them_once_in_ten_seconds(store: Counted) -> None:
    now_s = [0.0]
    seen = trail.Trail(store, lambda: now_s[0])
    cordon(store, "jo", "smoke")
    for _ in range(40):
        [one] = seen.of("EdgeNode", NODE)
        now_s[0] += 0.5
    assert (one.actor.by, one.reason, store.asked) == ("jo", "smoke", 2)


def test_the_ten_newest_are_shown_and_of_several_objects_together(store: Counted) -> None:
    for number in range(12):
        cordon(store, f"p{number}", on=number % 2 == 0)
    seen = trail.Trail(store)
    shown = seen.of_all([("EdgeNode", NODE), ("ModelRollout", "none")])
    assert len(shown) == trail.SHOWN and len({one.name for one in shown}) == trail.SHOWN


def test_a_cluster_without_the_kind_shows_none() -> None:
    class Older(MemoryObjects):
        def list(self, kind: str, **_: Any) -> Any:
            raise errors.NotFoundError(f"the server could not find the requested resource: {kind}")

    assert trail.Trail(Older()).of("EdgeNode", NODE) == ()


def test_what_people_wrote_is_text_and_keeps_its_direction(store: Counted) -> None:
    cordon(store, "<b>jo</b>", "<script>alert(1)</script>\u202egnp")
    told = version_report.report("m-v1", {"model": "m", "version": 1}, {}, None, "")
    about = trail.Trail(store).of("EdgeNode", NODE)
    page = pages.version({**told, "verdict": None, "signatures": []}, about, now_ms=1)
    assert "<bdi>&lt;b&gt;jo&lt;/b&gt;</bdi>" in page and "&lt;script&gt;" in page and "<script>alert" not in page
