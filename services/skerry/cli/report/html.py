"""`report.html`: what came of a run, self-contained. Inline SVG and CSS, no script, nothing loaded from anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.cli.report import chart
from skerry.cli.report.markup import Markup, join, table, tag
from skerry.cli.report.scale import clock

_CSP = "default-src 'none'; style-src 'unsafe-inline'"
_DASH = "–"


def write_report(path: Path, timeline: Mapping[str, Any]) -> None:
    """Draw `timeline` into the file `path`.

    Keys: `title`, `closed` (bool), `seconds`, `summary` (rows name, requests, lost, edge_accuracy, answer_accuracy,
    offload_rate, p50_ms, p99_ms; a number may be None), `nodes` (name, digest, version), `gates` (name, outcome,
    reason), `events` (t, kind, text), `series` (accuracy_edge, accuracy_answers, offload_rate: lists of (seconds,
    ratio)), `versions` (node -> list of (seconds, version)), `phases` (name, from, to), `bytes` (what -> bytes),
    `holdout` (before, after, n) or None, `gain` (before, after, n_before, n_after; shares may be None), `teacher`
    (clean, drift), `fault` (name, expected, seen, ok) or None.
    """
    path.write_text(render(timeline), encoding="utf-8")


def render(timeline: Mapping[str, Any]) -> str:
    """The page as text."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    head = join(
        [
            Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">'),
            tag("title", timeline["title"]),
            tag("style", Markup(style)),
        ]
    )
    body = [_headline(timeline), _cards(timeline), _timeline(timeline), _phases(timeline["summary"])]
    body += [
        _gates(timeline["gates"]),
        _nodes(timeline["nodes"]),
        _events(timeline["events"]),
        _bytes(timeline["bytes"]),
    ]
    page = tag("html", tag("head", head), tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _headline(timeline: Mapping[str, Any]) -> Markup:
    fault = timeline.get("fault")
    good = fault["ok"] if fault else timeline["closed"]
    if fault:
        text = f"Fault {fault['name']}: {'as expected' if good else 'NOT as expected'}"
    else:
        text = "The loop closed" if good else "The loop did not close"
    icon = tag("span", "✓" if good else "✕", class_="icon", aria_hidden="true")
    parts: list[object] = [tag("p", timeline["title"], class_="kicker"), tag("h1", icon, text)]
    if fault:
        parts.append(tag("p", tag("b", "Expected: "), fault["expected"]))
        parts.append(tag("p", tag("b", "Seen: "), fault["seen"] or "nothing"))
    return tag("header", *parts, class_="good" if good else "bad")


def _cards(timeline: Mapping[str, Any]) -> Markup:
    rows = {row["name"]: row for row in timeline["summary"]}
    holdout, teacher = timeline.get("holdout"), timeline["teacher"]
    lost, asked = (sum(row[key] for row in rows.values()) for key in ("lost", "requests"))
    before, after = (_ratio(timeline["gain"][name]) for name in ("before", "after"))
    cards = [
        ("edge accuracy on drifted input", f"{before} → {after}", "first and new version, on images new to both"),
        ("requests lost", f"{lost:,}", f"of {asked:,}"),
        ("time", f"{clock(timeline['seconds'])}", "minutes and seconds"),
    ]
    if holdout is not None:
        text = f"{_ratio(holdout['before'])} → {_ratio(holdout['after'])}"
        cards.insert(1, ("clean holdout", text, f"both versions on the same {holdout['n']:,} rows"))
    if teacher.get("clean") is not None:
        cards.append(("teacher, clean", _ratio(teacher["clean"]), f"{_ratio(teacher['drift'])} on drifted input"))
    return tag("dl", *(_card(*card) for card in cards), class_="cards")


def _card(name: str, value: str, note: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, tag("small", note)))


def _timeline(timeline: Mapping[str, Any]) -> Markup:
    title = tag("h2", "What happened when", id="timeline-title")
    if not any(timeline["series"].values()) and not timeline["events"]:
        return tag("section", title, tag("p", "Nothing was recorded."))
    drawn = tag("div", chart.draw(timeline), class_="wide", tabindex="0", role="region", aria_label="timeline")
    return tag("section", title, _legend(), drawn, _data(timeline), _version_data(timeline["versions"]))


def _legend() -> Markup:
    keys = [("edge", "edge alone"), ("given", "answers given"), ("offload", "offloaded")]
    return tag(
        "p", *(tag("span", name, class_=f"key {kind}") for kind, name in keys), class_="legend", aria_hidden="true"
    )


def _data(timeline: Mapping[str, Any]) -> Markup:
    """The lines as numbers."""
    series = {name: dict(points) for name, points in timeline["series"].items()}
    moments = sorted({at for points in series.values() for at in points})
    names = ("accuracy_edge", "accuracy_answers", "offload_rate")
    rows = [[f"{at:.0f}", *(_ratio(series.get(name, {}).get(at)) for name in names)] for at in moments]
    shown = table(
        "Accuracy and offload rate over time",
        ["second", "edge alone", "answers given", "offloaded"],
        rows,
        numbers=range(4),
    )
    return _folded("The lines as a table", shown)


def _version_data(versions: Mapping[str, Sequence[tuple[float, int]]]) -> Markup:
    rows = [[node, f"v{version}", clock(at)] for node, moves in sorted(versions.items()) for at, version in moves]
    return _folded("The bands as a table", table("When each node took up a version", ["node", "version", "from"], rows))


def _folded(summary: str, content: Markup) -> Markup:
    return tag("details", tag("summary", summary), content)


def _phases(rows: Sequence[Mapping[str, Any]]) -> Markup:
    heads = ["phase", "requests", "lost", "edge alone", "answers given", "offloaded", "p50 ms", "p99 ms"]
    cells = [
        [
            row["name"],
            f"{row['requests']:,}",
            row["lost"],
            *(_ratio(row[key]) for key in ("edge_accuracy", "answer_accuracy", "offload_rate")),
            *(_DASH if row[key] is None else f"{row[key]:.1f}" for key in ("p50_ms", "p99_ms")),
        ]
        for row in rows
    ]
    return _section("By phase", table("What the clients saw", heads, cells, numbers=range(1, 8)))


_ICONS = {"Pass": "✓", "Fail": "✕", "Inconclusive": "?", "Error": "!"}


def _gates(gates: Sequence[Mapping[str, Any]]) -> Markup:
    if not gates:
        return Markup("")
    rows = [[gate["name"], _outcome(str(gate["outcome"])), gate["reason"]] for gate in gates]
    return _section("The new version's gates", table("Each gate and why", ["gate", "outcome", "reason"], rows))


def _outcome(outcome: str) -> Markup:
    return tag(
        "span", f"{_ICONS.get(outcome, '')} {outcome}", class_=f"badge {outcome.lower()}" if outcome in _ICONS else None
    )


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        [node["name"], f"v{node['version']}" if node["version"] else _DASH, tag("code", node["digest"] or _DASH)]
        for node in nodes
    ]
    return _section("Nodes at the end", table("What each node reports as loaded", ["node", "version", "digest"], rows))


def _events(events: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [[clock(event["t"]), event["kind"], event["text"]] for event in events]
    return _section("Events", table("Everything worth telling, in order", ["time", "kind", "what"], rows))


def _bytes(moved: Mapping[str, int]) -> Markup:
    rows = [[name.replace("_", " "), f"{size / 1024:,.0f}"] for name, size in moved.items()]
    return (
        _section("Bytes moved", table("What crossed the link", ["what", "KiB"], rows, numbers=[1]))
        if rows
        else Markup("")
    )


def _section(title: str, *content: object) -> Markup:
    return tag("section", tag("h2", title), *content)


def _ratio(value: float | None) -> str:
    return _DASH if value is None else f"{value:.1%}"
