"""What a node wrote is shown, never obeyed: no byte of it steers the terminal of who looks."""

import json
from pathlib import Path

import pytest
from cli_system import StillSystem

from skerry.cli import output
from skerry.core import errors, writers

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[1;1Hall is well\r\x9b31m"
FORGED = "ok\nskerry: every node is Ready"
UNSEEN = "\u202etxt.exe\u2066 \udc80"


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    still.objects.create("EdgeNode", "edge-1", {}, manager=writers.GATEWAY)
    report = {
        "model": "press",
        "digest": "sha256:" + "a" * 64,
        "version": 1,
        "targetState": "Refused",
        "reason": ESCAPES + FORGED + UNSEEN,
    }
    status = {"servingAddress": ESCAPES + UNSEEN, "models": [report], "markSeconds": 10}
    still.objects.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status=status)
    return still


@pytest.mark.parametrize("text", [ESCAPES, FORGED, UNSEEN, "\x00\x7f\x85\u2028"])
def test_what_steers_a_terminal_is_shown_as_an_escape(text: str) -> None:
    shown = output.printable(text)
    assert shown.isprintable() and shown.encode()


def test_words_of_any_language_stay_as_they_are() -> None:
    for text in ("größer", "ölig", "磨損", "مكسور", "v3 – 61 KiB"):
        assert output.printable(text) == text


def test_a_node_cannot_steer_the_terminal_of_who_lists_it(system: StillSystem) -> None:
    shown = system.good("nodes")
    assert "edge-1" in shown and r"\x1b]0;owned\x07" in shown and r"\u202e" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not any(line.startswith("skerry: ") for line in shown.split("\n"))


def test_programs_get_the_text_as_it_is(system: StillSystem) -> None:
    shown = system.good("nodes", "--json")
    assert "\x1b" not in shown
    assert json.loads(shown)[0]["address"] == ESCAPES + UNSEEN


def test_an_error_that_quotes_a_node_forges_no_line(system: StillSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise errors.UnavailableError(f"the agent answered {ESCAPES}{FORGED}")

    monkeypatch.setattr(type(system.objects), "list", fails)
    told = system.bad(4, "nodes")
    first, second = told.rstrip("\n").split("\n")
    assert first.startswith("skerry: the agent answered ") and first.isprintable()
    assert second == "  skerry: every node is Ready"
