"""The report draws what it is told, shows it as tables too, loads nothing, and never lets a name become markup."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_sample

from skerry.cli.report import chart, html, scale

Timeline = dict[str, Any]


def svg(timeline: Timeline) -> ElementTree.Element:
    return ElementTree.fromstring(chart.draw(timeline))


def with_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in root.iter() if name in one.get("class", "").split()]


def points(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.get("points", "").split())]


def test_the_file_stands_alone(tmp_path: Path) -> None:
    html.write_report(tmp_path / "report.html", report_sample.timeline())
    text = (tmp_path / "report.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|<script|https?:""", text)


def test_a_line_rises_on_the_page_when_accuracy_rises() -> None:
    timeline = report_sample.timeline() | {"series": {"accuracy_edge": [(0, 0.5), (50, 0.9), (100, 1.0)]}}
    [line] = with_class(svg(timeline), "line")
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x0 < x1 < x2
    assert y0 > y1 > y2


def test_every_band_ends_where_the_next_version_begins() -> None:
    timeline = report_sample.timeline() | {"versions": {"edge-1": [(10.0, 1), (60.0, 2), (90.0, 3)]}}
    bands = with_class(svg(timeline), "band")
    edges = [(float(b.get("x", "")), float(b.get("x", "")) + float(b.get("width", ""))) for b in bands]
    assert edges[0][1] == pytest.approx(edges[1][0], abs=0.2)
    assert edges[1][1] == pytest.approx(edges[2][0], abs=0.2)
    assert [text.text for text in with_class(svg(timeline), "band-name")] == ["v1", "v2", "v3"]


def test_every_event_is_a_mark_and_a_table_row() -> None:
    timeline = report_sample.timeline()
    page = html.render(timeline)
    assert len(with_class(svg(timeline), "mark")) == len(timeline["events"])
    assert "<td>training run digits-2 asked for: 1,004 new examples</td>" in page


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        pytest.param({"closed": False}, "The loop did not close", id="a loop that stayed open says so"),
        pytest.param(
            {"fault": {"name": "corrupt", "expected": "refused", "seen": "", "ok": False}},
            "NOT as expected",
            id="a fault without its outcome says so, whatever the loop did",
        ),
        pytest.param(
            {"fault": {"name": "corrupt", "expected": "refused", "seen": "3 refusals", "ok": True}, "closed": False},
            "Fault corrupt: as expected",
            id="a fault with its outcome is good, although no loop closed",
        ),
        pytest.param({"holdout": None}, "requests lost", id="a run that never compared versions still reports"),
        pytest.param(
            {"summary": [], "series": {}, "events": [], "versions": {}, "phases": [], "gates": [], "bytes": {}},
            "Nothing was recorded.",
            id="a run that broke off at once still reports",
        ),
        pytest.param({"teacher": {"clean": None, "drift": None}}, "The loop closed", id="no teacher, no teacher card"),
    ],
)
def test_the_headline_and_gaps(change: Timeline, shown: str) -> None:
    assert shown in html.render(report_sample.timeline() | change)


def _evil_event(timeline: Timeline, evil: str) -> None:
    timeline["events"].append({"t": 1.0, "kind": "fault", "text": evil})


def _evil_node(timeline: Timeline, evil: str) -> None:
    timeline["nodes"].append({"name": evil, "digest": evil, "version": 1})
    timeline["versions"][evil] = [(1.0, 1)]


def _evil_gate(timeline: Timeline, evil: str) -> None:
    timeline["gates"].append({"name": evil, "outcome": evil, "reason": evil})


def _evil_phase(timeline: Timeline, evil: str) -> None:
    timeline["phases"].append((evil, 1.0, 2.0))
    timeline["title"] = evil


@pytest.mark.parametrize("spoil", [_evil_event, _evil_node, _evil_gate, _evil_phase])
def test_no_name_becomes_markup(spoil: Callable[[Timeline, str], None]) -> None:
    timeline = report_sample.timeline()
    spoil(timeline, """x"'><img src=y onerror='z'>""")
    page = html.render(timeline)
    assert "<img" not in page
    assert not re.search(r"<[^>]*\sonerror=", page)
    svg(timeline)  # still well-formed


@pytest.mark.parametrize("seconds", [0.5, 7, 59, 60, 61, 184, 600, 4000, 100_000])
def test_a_time_axis_has_few_round_ticks(seconds: float) -> None:
    marks = scale.ticks(seconds)
    assert marks[0] == 0
    assert marks[-1] <= seconds
    assert 1 <= len(marks) <= 14


def test_values_outside_a_scale_are_drawn_at_its_edge() -> None:
    over = scale.Scale(0.0, 1.0, 100.0, 0.0)
    assert [over(value) for value in (-1.0, 0.0, 0.5, 1.0, 7.0)] == [100.0, 100.0, 50.0, 0.0, 0.0]
