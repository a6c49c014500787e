"""The dashboard in a real browser: it obeys its own policy, follows changes by itself, pauses, says when it is stale,
fits a narrow window, and its parts have names for those who do not see them."""

import time
from collections.abc import Iterator
from pathlib import Path

import dashboard_process
import dashboard_world as world
import pytest
from chromium import EXECUTABLE, Chromium
from require import requires

from skerry.adapters import objects
from skerry.adapters.objects import Objects

pytestmark = requires("browser", bool(EXECUTABLE), "Chromium is not installed: apt-get install chromium")


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    made = objects.open_objects(f"sqlite://{tmp_path}/objects.db")
    world.fill(made, now_ms=time.time_ns() // 1_000_000, told=world.HOSTILE)
    return made


@pytest.fixture
def running(store: Objects, tmp_path: Path) -> Iterator[dashboard_process.Running]:
    with dashboard_process.started(tmp_path) as made:
        yield made


@pytest.fixture
def browser(running: dashboard_process.Running) -> Iterator[Chromium]:
    made = Chromium()
    try:
        made.open(running.url)
        yield made
    finally:
        made.close()


def publish(store: Objects, number: int) -> str:
    """A change that the page shows; returns an expression that is true once it does."""
    world.version(store, number, "sha256:" + f"{number}" * 64, time.time_ns() // 1_000_000)
    return f'document.getElementById("models").textContent.includes("digits-v{number}")'


def test_hostile_words_stay_words_and_the_policy_refuses_nothing_of_ours(browser: Chromium) -> None:
    browser.wait('document.getElementById("live-text").textContent === "live"')
    assert browser.evaluate("document.title") != "taken"
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.body.innerText").count("<script>") >= 4
    assert browser.complaints == []


def test_a_change_appears_without_reloading_and_what_was_opened_stays_open(store: Objects, browser: Chromium) -> None:
    browser.evaluate("window.sameDocument = true")
    browser.evaluate('document.querySelector("#models details").open = true')
    browser.wait(publish(store, 3))
    assert browser.evaluate("window.sameDocument")
    assert browser.evaluate('document.querySelector("#models details[open]") !== null')
    assert browser.complaints == []


@pytest.mark.long
def test_a_paused_page_stands_still_until_it_is_resumed(store: Objects, browser: Chromium) -> None:
    browser.wait('document.getElementById("live-text").textContent === "live"')
    browser.evaluate('document.getElementById("pause").click()')
    assert browser.evaluate('document.getElementById("pause").getAttribute("aria-pressed")') == "true"
    shown = publish(store, 3)
    # the events go on: three of them ask for nothing
    browser.evaluate(
        "new Promise(done => { let left = 3; const events = new EventSource('/events');"
        "events.addEventListener('change', () => { if (!--left) { events.close(); done(); } }) })"
    )
    assert not browser.evaluate(shown)
    browser.evaluate('document.getElementById("pause").click()')
    browser.wait(shown)


def test_a_page_that_lost_its_server_says_so(running: dashboard_process.Running, browser: Chromium) -> None:
    browser.wait('document.getElementById("live-text").textContent === "live"')
    running.process.kill()
    browser.wait('document.getElementById("live-text").textContent.startsWith("not connected")')


def test_without_scripts_everything_is_there(running: dashboard_process.Running, browser: Chromium) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(running.url)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    names = {one.get("name", {}).get("value", "") for one in tree if not one.get("ignored")}
    assert {"Nodes", "Rollouts", "Models and their versions", "Training runs", "What changed"} <= names
    assert "Pause updates" not in names, "a button that does nothing is not shown"


@pytest.mark.parametrize("width", [pytest.param(320, id="a window of 320 pixels"), pytest.param(1280, id="a desk")])
def test_the_page_never_scrolls_sideways(browser: Chromium, width: int) -> None:
    """WCAG 2.2, 1.4.10: a window of 320 pixels is one of 1280 at 400 %; wide tables scroll in their own box."""
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_to_act_on_has_a_name_and_is_large_enough(browser: Chromium) -> None:
    """WCAG 2.2, 4.1.2 and 2.5.8."""
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    acting = [one for one in tree if one.get("role", {}).get("value") in ("button", "link", "table", "region", "image")]
    assert len(acting) > 10
    assert not [one["role"] for one in acting if not one.get("ignored") and not one.get("name", {}).get("value")]
    small = browser.evaluate(
        "[...document.querySelectorAll('a, button, summary')].filter(one => !one.closest('.skip'))"
        ".filter(one => { const box = one.getBoundingClientRect(); return box.height && box.height < 24 })"
        ".map(one => one.outerHTML)"
    )
    assert small == []
