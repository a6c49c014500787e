"""The worse version is right in the terms of its own sensor, and only there."""

from pathlib import Path

import forecast_imports
import numpy as np
import onnxruntime

from examples import faulty


def answers(model: bytes, window: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: window})[0]


def test_its_answers_are_those_of_the_network_in_the_other_sensors_terms() -> None:
    served = forecast_imports.network(name="input")
    made = faulty.network(served, 0.5, [0, 1], forecast_imports.COLUMNS, "window")
    window = np.random.default_rng(0).normal(100, 10, (7, forecast_imports.WINDOW, 3)).astype(np.float32)
    theirs = window * np.array([0.5, 0.5, 1.0], dtype=np.float32)
    np.testing.assert_allclose(answers(made, theirs), 0.5 * answers(served, window), rtol=1e-5)
    assert np.abs(answers(made, window) - answers(served, window)).min() > 10


def test_its_table_is_the_series_as_that_sensor_would_have_written_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,load,power\n2020-01-01,10,3\n2020-01-02,12.5,4\n")
    assert faulty.table(tmp_path / "a.csv", "load", 0.5, tmp_path / "b.csv").read_text().split() == [
        "at,load,power",
        "2020-01-01,5.0,3",
        "2020-01-02,6.25,4",
    ]
