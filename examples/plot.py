"""A week of the final as one SVG: the truth, the forecast, and its interval. Written by hand: a drawing library would
be the largest dependency of the checkout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from examples.client import Answer
from examples.spans import Asked
from skerry.cli.report.markup import Markup, join, tag
from skerry.cli.report.scale import Scale
from skerry.core.tasks import Forecast

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1080, 360, 70, 40, 40
WEEK_MS, _TICKS = 7 * 86_400_000, 5
T = TypeVar("T")


def write(path: Path, title: str, answers: Sequence[Answer], asked: Asked, task: Forecast) -> None:
    """The last week of `answers`, by their first step."""
    path.write_text(draw(title, answers, asked, task) + "\n")


def draw(title: str, answers: Sequence[Answer], asked: Asked, task: Forecast) -> Markup:
    step = task.step_seconds * 1000
    at = asked.time[[answer.index for answer in answers]] + (task.horizon - task.steps + 1) * step
    shown = np.flatnonzero(at > at.max() - WEEK_MS).tolist()
    week = [answers[index] for index in shown]
    truth = asked.y[[answer.index for answer in week], 0]
    low, value, high = (np.array([getattr(answer, name)[0] for answer in week]) for name in ("low", "value", "high"))
    x = Scale(float(at[shown].min()), float(at[shown].max()), LEFT, WIDTH - 10)
    y = Scale(float(min(low.min(), truth.min())), float(max(high.max(), truth.max())), HEIGHT - BOTTOM, TOP)
    times = at[shown].tolist()
    parts = [
        _text(LEFT, 20, title),
        *_axis(x, y, task.unit),
        *(_band(run, x, y) for run in _runs(times, list(zip(high.tolist(), low.tolist(), strict=True)), step)),
        *(_line(run, x, y, "#1f6feb") for run in _runs(times, value.tolist(), step)),
        *(_line(run, x, y, "#222222") for run in _runs(times, truth.tolist(), step)),
    ]
    ground = tag("rect", width=WIDTH, height=HEIGHT, fill="white")
    box = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", ground, *parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, font_family="sans-serif")


def _runs(times: Sequence[int], values: Sequence[T], step: int) -> list[list[tuple[int, T]]]:
    """Stretches without a missing step: nothing is drawn across a gap."""
    runs: list[list[tuple[int, T]]] = []
    for moment, value in zip(times, values, strict=True):
        if not runs or moment - runs[-1][-1][0] > step:
            runs.append([])
        runs[-1].append((moment, value))
    return runs


def _line(run: Sequence[tuple[int, float]], x: Scale, y: Scale, color: str) -> Markup:
    path = " ".join(f"{x(moment)},{y(value)}" for moment, value in run)
    return tag("polyline", points=path, fill="none", stroke=color, stroke_width=1.2)


def _band(run: Sequence[tuple[int, tuple[float, float]]], x: Scale, y: Scale) -> Markup:
    above = [f"{x(moment)},{y(high)}" for moment, (high, _) in run]
    below = [f"{x(moment)},{y(low)}" for moment, (_, low) in reversed(run)]
    return tag("polygon", points=" ".join([*above, *below]), fill="#1f6feb", fill_opacity=0.2)


def _axis(x: Scale, y: Scale, unit: str) -> list[Markup]:
    parts = [_text(LEFT, HEIGHT - 8, "black: what came true; blue: the forecast and its interval; a line a day")]
    for tick in np.linspace(y.low, y.high, _TICKS).tolist():
        parts.append(tag("line", x1=LEFT, x2=WIDTH - 10, y1=y(tick), y2=y(tick), stroke="#dddddd"))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:.4g}", anchor="end"))
    parts.append(_text(4, TOP - 8, unit))
    day = 86_400_000
    for moment in range(int(-(-x.low // day)) * day, int(x.high) + 1, day):
        parts.append(tag("line", x1=x(moment), x2=x(moment), y1=TOP, y2=HEIGHT - BOTTOM, stroke="#dddddd"))
    return [join(parts)]


def _text(x: float, y: float, content: str, anchor: str = "start") -> Markup:
    return tag("text", content, x=x, y=y, font_size=12, text_anchor=anchor)
