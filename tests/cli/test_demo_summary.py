"""The demo's summary: what the loop gained is told in a sentence, and a demo that broke off at once still has one."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console

from skerry.cli.demo import digits, summary
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.demo.scenario import Scenario
from skerry.cli.demo.traffic import Answer
from skerry.cli.report import html

NAMES = ("train", "holdout", "clean", "taught", "replay", "final")
NO_IMAGES = np.empty((0, 28, 28), dtype=np.uint8), np.empty(0, dtype=np.int64)
DATA = digits.Digits(*(digits.Split(name, *NO_IMAGES) for name in NAMES))
OLD, NEW = "sha256:old", "sha256:new"


def session(traffic: Any, folder: Path) -> Any:
    """What the summary reads of a session."""
    return SimpleNamespace(
        traffic=traffic,
        seen=Snapshot(),
        system=SimpleNamespace(layout=SimpleNamespace(root=folder)),
        digests={},
        events=[],
        versions={},
        peak_total_bytes=5 << 20,
        peak_bytes={"gateway": 5 << 20},
        cpu_s={"gateway": 2.0},
        now=lambda: 3.0,
    )


def told(traffic: Any, folder: Path) -> tuple[dict[str, Any], str]:
    scenario, running = Scenario("cnn", None, DATA, first=OLD, target=NEW), session(traffic, folder)
    document, shown = summary.document(scenario, running), io.StringIO()
    summary.show(Console(file=shown, width=200), document)
    assert html.render(summary.timeline(document, scenario, running)).startswith("<!DOCTYPE html>")
    return document, shown.getvalue()


def test_a_demo_that_broke_off_at_once_has_a_summary(tmp_path: Path) -> None:
    document, shown = told(None, tmp_path)
    assert document["gain"] == {"before": None, "after": None, "n_before": 0, "n_after": 0}
    assert "by the first version" not in shown
    assert not document["closed"]


def test_the_gain_and_all_cpu_seconds_are_told(tmp_path: Path) -> None:
    def answer(digest: str, local: int) -> Answer:
        return Answer(1.0, "drift", "final", "a", 3, 3, local, "local", False, 0.9, digest, 1, 0.002)

    answers = [answer(OLD, 3), answer(OLD, 5), answer(NEW, 3), answer(NEW, 3)]
    document, shown = told(SimpleNamespace(answers=answers, skipped=0), tmp_path)
    assert document["gain"] == {"before": 0.5, "after": 1.0, "n_before": 2, "n_after": 2}
    assert "0.500 by the first version, 1.000 by the new one (+50.0 points)" in shown
    assert set(document["cpu_seconds"]) == {"gateway", "demo"}
    assert document["cpu_seconds"]["demo"] > 0
