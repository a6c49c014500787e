"""Which values a forecast's truths can have at all: what a person knows of the series, beside what was seen of it."""

import numpy as np


def is_possible(value: float, least: float | None, most: float | None) -> bool:
    """Ends included, both as datasets keep values (float32); None: nothing is known of that end."""
    kept = np.float32(value)
    return (least is None or bool(kept >= np.float32(least))) and (most is None or bool(kept <= np.float32(most)))


def told(target: str, least: float | None, most: float | None) -> str:
    """For people, with the fields that say so."""
    ends = (("at least", "min", least), ("at most", "max", most))
    said = [f"{word} {end:g} (forecast.{field})" for word, field, end in ends if end is not None]
    return f"{target} is {' and '.join(said)}"
