"""How often clean inputs are called drift, how often moved ones are, and what a node pays for looking.

    python -m bench.input_drift [--windows 2000] [--rows 160]

Digits and steel plates (SKERRY_DATA, default ../shared/data) are halved by chance: one half makes the reference, and
windows are drawn from the other one. 160 rows are what one node looks at in the ten seconds of a reading.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench import imbalance
from skerry.agent.sync.input_window import InputWindow
from skerry.core import drift, input_sketch
from skerry.core.specs.model import RetrainSpec

Images = NDArray[np.uint8]
CHANGES: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "inverted": lambda x, _: 255 - x,
    "a tenth brighter": lambda x, _: np.clip(x.astype(int) + 25, 0, 255).astype(np.uint8),
    "noise of a tenth": lambda x, rng: np.clip(x + rng.normal(0, 25, x.shape), 0, 255).astype(np.uint8),
    "half the contrast": lambda x, _: x // 2,
    "turned by 90 degrees": lambda x, _: np.rot90(x, axes=(1, 2)),
}


def alarms(
    x: NDArray[np.generic], known: input_sketch.Reference, windows: int, rows: int, rng: np.random.Generator
) -> int:
    """Windows of `rows` rows drawn from `x` that are called drift."""
    away = input_sketch.standardized(x, known)
    assert away is not None
    found = 0
    for _ in range(windows):
        sums = away[rng.choice(len(away), rows, replace=False)].sum(axis=0)
        judged = drift.judge_inputs(drift.Inputs(rows, tuple(sums.tolist())), RetrainSpec())
        found += judged.outcome is drift.Outcome.DRIFT
    return found


def cost_us(x: NDArray[np.generic], known: input_sketch.Reference, requests: int = 20_000) -> tuple[float, float]:
    """CPU µs a request: at 1,000 requests a second, and of a row that is looked at."""
    window = InputWindow(10)
    window.watch("m", "v", known)
    rows = [x[at : at + 1] for at in range(100)]
    spent = []
    for per_s in (1000, 1):
        began = time.process_time_ns()
        count = requests if per_s > 1 else requests // 20
        for at in range(count):
            window.see("m", "v", rows[at % 100], at / per_s)
        spent.append((time.process_time_ns() - began) / count / 1000)
    return spent[0], spent[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.input_drift", description=__doc__)
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=160)
    given = parser.parse_args()
    digits, plates = imbalance.digits(0), imbalance.plates(0)
    sets = {"digits": np.concatenate([digits.held[0], digits.test[0]]), "steel plates": imbalance.every_row(plates)}
    for name, x in sets.items():
        rng = np.random.default_rng(0)
        x = x[rng.permutation(len(x))]
        half = len(x) // 2
        known = input_sketch.reference(x[:half])
        assert known is not None
        clean = alarms(x[half:], known, given.windows, given.rows, rng)
        print(f"{name}: {clean} alarms in {given.windows} clean windows of {given.rows} rows")
        print(f"{name}: {cost_us(x, known)} CPU µs a request at 1,000 a second, and at one")
        if name == "digits":
            for change, apply in CHANGES.items():
                seen = alarms(apply(x[half:], rng), known, given.windows // 10, given.rows, rng)
                print(f"{name}, {change}: {seen} of {given.windows // 10} windows are noticed")


if __name__ == "__main__":
    main()
