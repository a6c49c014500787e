"""The picture of an example's last week."""

import xml.etree.ElementTree as ElementTree

import numpy as np

from examples import plot
from examples.client import Answer
from examples.spans import Asked
from skerry.core.tasks import Forecast

HOUR_MS = 3_600_000


def test_nothing_is_drawn_across_a_gap_and_only_the_last_week_is_shown() -> None:
    hours = np.array([*range(200), *range(230, 300)], dtype=np.int64)
    y = np.sin(hours / 4)[:, None].astype(np.float32)
    asked = Asked(np.zeros((len(y), 1, 1), np.float32), y, y[:, None], hours * HOUR_MS, HOUR_MS)
    answers = [
        Answer(index, f"{index}", "edge-1", "b", 0.5, (at,), (at - 1,), (at + 1,), "")
        for index, at in enumerate(y[:, 0].tolist())
    ]
    drawn = plot.draw("a <road>", answers, asked, Forecast("y", "veh/h", (100, 500, 900), 3600))
    root = ElementTree.fromstring(drawn)
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 2 * 2, "forecast and truth, before the gap and after it"
    assert sum(len(line.attrib["points"].split()) for line in lines) == 2 * (168 - 30)
    assert any(element.text == "a <road>" for element in root.iter())
