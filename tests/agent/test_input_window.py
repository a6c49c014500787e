"""A node sums up what its inputs are like: of few rows a second, for the serving version, over the newest seconds."""

import numpy as np
import pytest

from skerry.agent.sync.input_window import ROWS_PER_S, InputWindow
from skerry.agent.sync.load_window import LoadWindow
from skerry.core.input_sketch import MIN_ROWS, Reference

KNOWN = Reference((1.0, 0.0), (2.0, 1.0))
ROW = np.array([[3.0, -1.0]], dtype=np.float32)  # one spread above, and one below


def test_of_each_second_a_few_rows_are_summed_up() -> None:
    window = InputWindow(10)
    window.watch("m", "v1", KNOWN)
    for second in (100.0, 101.5):
        for _ in range(50):
            window.see("m", "v1", ROW, second)
    assert window.read("m", "v1", 101.9) == (2 * ROWS_PER_S, pytest.approx([2 * ROWS_PER_S, -2 * ROWS_PER_S]))
    for at in range(MIN_ROWS - ROWS_PER_S - 1):
        window.see("m", "v1", ROW, 103.0 + at)
    assert window.read("m", "v1", 109.9)[0] == MIN_ROWS + ROWS_PER_S - 1
    assert window.read("m", "v1", 110.5) == (0, [])  # the first second has passed, and few rows would tell of each
    assert window.read("m", "v1", 130.0) == (0, [])


def test_of_a_large_batch_no_more_rows_are_looked_at() -> None:
    window = InputWindow(10)
    window.watch("m", "v1", KNOWN)
    for second in (5.0, 6.0):
        window.see("m", "v1", np.repeat(ROW, 500, axis=0), second)
        window.see("m", "v1", ROW, second + 0.5)
    assert window.read("m", "v1", 6.9)[0] == 2 * ROWS_PER_S


def test_another_version_begins_anew_and_one_that_tells_nothing_sums_up_nothing() -> None:
    window = InputWindow(10)
    window.watch("m", "v1", KNOWN)
    for at in range(30):
        window.see("m", "v1", ROW, 5.0 + at / 10)
        window.see("m", "v0", ROW, 5.0 + at / 10)  # answers of the version before, on their way
    assert window.read("m", "v1", 8.0)[0] == 30 and window.read("m", "v0", 8.0) == (0, [])
    window.watch("m", "v2", None)
    for at in range(30):
        window.see("m", "v2", ROW, 8.0 + at / 10)
    assert window.read("m", "v2", 11.0) == (0, []) and window.read("m", "v1", 11.0) == (0, [])
    window.see("other", "v9", ROW, 11.0)


def test_rows_that_are_no_numbers_are_not_counted() -> None:
    window = InputWindow(10)
    window.watch("m", "v1", KNOWN)
    for at in range(30):
        window.see("m", "v1", np.array([[np.nan, 1.0]], dtype=np.float32), 5.0 + at / 10)
        window.see("m", "v1", np.array([[1.0, 2.0, 3.0]], dtype=np.float32), 5.0 + at / 10)
    assert window.read("m", "v1", 8.0) == (0, [])


def test_a_reading_tells_them() -> None:
    load = LoadWindow(lambda: 7.0)
    load.inputs.watch("m", "v1", KNOWN)
    for at in range(20):
        load.inputs.see("m", "v1", ROW, 5.0 + at / 10)
    load.answered("m", "v1", [0.9], 0.01, offloaded=False, degraded=False)
    (reading,) = load.read()
    assert reading.input_rows == 20 and list(reading.input_sums) == [20.0, -20.0]
