"""The timeline as one inline SVG: accuracy and offload rate as lines, the version on each node as bands, events as
marks in lanes by kind, all over the same time and the shaded phases. Colors come from the page's CSS.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skerry.cli.report.markup import Markup, join, tag
from skerry.cli.report.scale import Scale, clock, ticks

WIDTH, LEFT, RIGHT = 1080, 92, 156
_TOP, _GAP, _ACCURACY, _OFFLOAD, _BAND, _LANE = 34, 34, 210, 96, 26, 20
_LABEL_APART = 15
_SHADES = 6  # distinct version colors; later ones repeat

Points = Sequence[tuple[float, float]]
Bands = Mapping[str, Sequence[tuple[float, int]]]
LINES = (("accuracy_edge", "edge alone", "edge"), ("accuracy_answers", "answers given", "given"))
KINDS = ("phase", "training", "version", "rollout", "verdict", "node", "refused", "fault")


def draw(timeline: Mapping[str, Any]) -> Markup:
    """The whole picture. Reads `series`, `versions`, `events`, `phases` and `seconds` of the timeline."""
    time = Scale(0.0, max(1.0, duration(timeline)), LEFT, WIDTH - RIGHT)
    kinds = [kind for kind in KINDS if any(event["kind"] == kind for event in timeline["events"])]
    accuracy = _TOP
    offload = accuracy + _ACCURACY + _GAP
    bands = offload + _OFFLOAD + _GAP
    lanes = bands + _BAND * len(timeline["versions"]) + _GAP
    bottom = lanes + _LANE * len(kinds)
    parts = [
        _phases(timeline["phases"], time, bottom),
        _accuracy(timeline["series"], time, accuracy),
        _offload(timeline["series"].get("offload_rate", ()), time, offload),
        _versions(timeline["versions"], time, bands),
        _events(timeline["events"], kinds, time, lanes),
        _axis(time, bottom),
    ]
    height = bottom + 34
    return tag(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_labelledby="timeline-title", class_="timeline"
    )


def duration(timeline: Mapping[str, Any]) -> float:
    """The last moment that anything in the timeline tells of, in seconds."""
    moments: list[float] = [timeline.get("seconds") or 0.0, *(event["t"] for event in timeline["events"])]
    moments += [end for _, _, end in timeline["phases"]]
    moments += [at for points in timeline["series"].values() for at, _ in points]
    return max(moments)


def _text(x: float, y: float, content: object, class_: str, anchor: str = "start") -> Markup:
    return tag("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def _phases(phases: Iterable[tuple[str, float, float]], time: Scale, bottom: float) -> Markup:
    parts = []
    for index, (name, begin, end) in enumerate(phases):
        x, width = time(begin), max(1.0, time(end) - time(begin))
        parts.append(tag("rect", x=x, y=18, width=width, height=bottom - 18, class_=f"phase p{index % 2}"))
        parts.append(_text(x + width / 2, 13, name, "phase-name", "middle"))
    return join(parts)


def _grid(rates: Sequence[float], time: Scale, level: Scale) -> Markup:
    parts = []
    for rate in rates:
        y = level(rate)
        parts.append(tag("line", x1=time.from_px, x2=time.to_px, y1=y, y2=y, class_="grid"))
        parts.append(_text(LEFT - 8, y + 4, f"{rate:.0%}", "tick", "end"))
    return join(parts)


def _accuracy(series: Mapping[str, Points], time: Scale, top: float) -> Markup:
    values = [value for name, _, _ in LINES for _, value in series.get(name, ())]
    low = max(0.0, min([0.5, *((value // 0.1) * 0.1 for value in values)]))
    level = Scale(low, 1.0, top + _ACCURACY, top)
    rates = [tenth / 10 for tenth in range(round(low * 10), 11) if (10 - tenth) % (1 if low >= 0.5 else 2) == 0]
    drawn = [(name, kind, series[key]) for key, name, kind in LINES if series.get(key)]
    parts = [_grid(rates, time, level), _text(LEFT, top - 8, "accuracy", "panel")]
    parts += [_line(points, time, level, kind) for _, kind, points in drawn]
    ends = sorted((level(points[-1][1]), name, kind, points) for name, kind, points in drawn)
    y = -1e9
    for end, name, kind, points in ends:
        y = max(end, y + _LABEL_APART)
        parts.append(_text(time(points[-1][0]) + 8, y + 4, f"{name} {points[-1][1]:.0%}", f"end {kind}"))
    return join(parts)


def _offload(points: Points, time: Scale, top: float) -> Markup:
    highest = max([0.2, *(value for _, value in points)])
    level = Scale(0.0, min(1.0, -(-highest // 0.1) * 0.1), top + _OFFLOAD, top)
    parts = [
        _grid((0.0, level.high / 2, level.high), time, level),
        _text(LEFT, top - 8, "offloaded to the cloud", "panel"),
    ]
    if points:
        base = level(0.0)
        path = " ".join(f"L{time(at)} {level(value)}" for at, value in points)
        area = f"M{time(points[0][0])} {base} {path} L{time(points[-1][0])} {base} Z"
        parts += [tag("path", d=area, class_="area"), _line(points, time, level, "offload")]
        parts.append(_text(time(points[-1][0]) + 8, level(points[-1][1]) + 4, f"{points[-1][1]:.0%}", "end offload"))
    return join(parts)


def _line(points: Points, time: Scale, level: Scale, kind: str) -> Markup:
    path = " ".join(f"{time(at)},{level(value)}" for at, value in points)
    return tag("polyline", points=path, class_=f"line {kind}")


def _versions(bands: Bands, time: Scale, top: float) -> Markup:
    parts = [_text(LEFT, top - 8, "version serving on each node", "panel")] if bands else []
    for row, (node, moves) in enumerate(sorted(bands.items())):
        y = top + row * _BAND
        parts.append(_text(LEFT - 8, y + 15, _shorten(node, 13), "tick", "end"))
        ends = [at for at, _ in moves[1:]] + [time.high]
        for (begin, version), end in zip(moves, ends, strict=True):
            x, width = time(begin), max(1.0, time(end) - time(begin))
            title = tag("title", f"{node}: v{version} from {clock(begin)} to {clock(end)}")
            parts.append(
                tag("rect", title, x=x, y=y, width=width, height=_BAND - 6, rx=3, class_=f"band b{version % _SHADES}")
            )
            if width > 20:
                parts.append(_text(x + 6, y + 14, f"v{version}", "band-name"))
    return join(parts)


def _events(events: Sequence[Mapping[str, Any]], kinds: Sequence[str], time: Scale, top: float) -> Markup:
    parts = [_text(LEFT, top - 8, "events", "panel")] if kinds else []
    for row, kind in enumerate(kinds):
        y = top + row * _LANE + _LANE / 2
        parts.append(_text(LEFT - 8, y + 4, kind, "tick", "end"))
        parts.append(tag("line", x1=time.from_px, x2=time.to_px, y1=y, y2=y, class_="lane"))
        for event in events:
            if event["kind"] == kind:
                parts.append(_mark(time(event["t"]), y, event))
    return join(parts)


def _mark(x: float, y: float, event: Mapping[str, Any]) -> Markup:
    """Kinds differ in shape as well as in color: what went wrong is a cross, a verdict a diamond, the rest a dot."""
    title = tag("title", f"{clock(event['t'])} {event['text']}")
    kind = event["kind"]
    if kind in ("refused", "fault"):
        path = f"M{x - 4.5} {y - 4.5} L{x + 4.5} {y + 4.5} M{x - 4.5} {y + 4.5} L{x + 4.5} {y - 4.5}"
        return tag("path", title, d=path, class_=f"mark cross {kind}")
    if kind == "verdict":
        path = f"M{x} {y - 6} L{x + 6} {y} L{x} {y + 6} L{x - 6} {y} Z"
        return tag("path", title, d=path, class_=f"mark {kind}")
    return tag("circle", title, cx=x, cy=y, r=4.5, class_=f"mark {kind}")


def _axis(time: Scale, bottom: float) -> Markup:
    parts = [tag("line", x1=time.from_px, x2=time.to_px, y1=bottom, y2=bottom, class_="axis")]
    for second in ticks(time.high):
        x = time(second)
        parts.append(tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 5, class_="axis"))
        parts.append(_text(x, bottom + 19, clock(second), "tick", "middle"))
    parts.append(_text(time.to_px + 8, bottom + 19, "min:s", "tick"))
    return join(parts)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
