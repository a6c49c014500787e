"""A forecaster as somebody else exports it, a series that it was not trained on, and its import: what the tests of
`skerry models import` for forecasts share."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cli_system import StillSystem
from onnx import TensorProto, helper
from onnx_imports import file

from skerry.core import writers

FIRST = datetime(2018, 1, 1, tzinfo=UTC)
NOISE, Z = 6.0, 1.2816  # the 10 % and 90 % quantiles of a normal distribution lie Z deviations beside its mean
WINDOW, COLUMNS = 12, 3  # the load, sine and cosine of the hour to come
GIVEN = ("--time-column", "at", "--calendar", "hour")


def network(
    level: float = 100.0,
    low: float = -Z * NOISE,
    high: float = Z * NOISE,
    swing: float = 30.0,
    *,
    outputs: int = 3,
    name: str = "window",
    shape: Sequence[Any] = ("N", WINDOW, COLUMNS),
    datatype: int = TensorProto.FLOAT,
) -> bytes:
    """`level` + `swing` · sine of the hour to come, and the interval around it: what `series` really does."""
    weights = np.zeros((COLUMNS, outputs), np.float32)
    weights[1] = swing
    offsets = np.resize(np.array([level + low, level, level + high], np.float32), outputs)
    nodes = [
        helper.make_node("Cast", [name], ["window_float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["window_float", "last"], ["step"], axis=1),
        helper.make_node("MatMul", ["step", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["quantiles"]),
    ]
    told = helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["N", outputs])
    taken = helper.make_tensor_value_info(name, datatype, list(shape))
    return file(nodes, [told], inputs=[taken], last=np.array(-1, np.int64), w=weights, b=offsets)


def series(path: Path, days: int = 30, seed: int = 0, first_day: int = 0) -> Path:
    """Hourly load: a day's sine and noise."""
    hours = np.arange(days * 24) + first_day * 24
    load = 100 + 30 * np.sin(hours / 24 * 2 * np.pi) + np.random.default_rng(seed).normal(size=len(hours)) * NOISE
    at = [(FIRST + timedelta(hours=int(hour))).strftime("%Y-%m-%d %H:%M") for hour in hours]
    rows = zip(at, load.tolist(), strict=True)
    path.write_text("at,load\n" + "".join(f"{moment},{value:.4f}\n" for moment, value in rows))
    return path


def model(system: StillSystem, **forecast: Any) -> None:
    told = {"target": "load", "unit": "kWh", "stepSeconds": 3600, "naive": [1, 24]} | forecast
    taken = {"name": "window", "datatype": "FP32", "shape": [WINDOW, COLUMNS]}
    system.objects.create(
        "EdgeModel", "load", {"task": "Forecast", "forecast": told, "input": taken}, manager=writers.OPERATOR
    )


def words(tmp_path: Path, data: bytes, *more: str | Path, holdout: Path | None = None) -> list[str | Path]:
    (tmp_path / "load.onnx").write_bytes(data)
    held = holdout or series(tmp_path / "held.csv")
    return ["models", "import", tmp_path / "load.onnx", "--name", "load", "--holdout", held, *GIVEN, *more]


def told(system: StillSystem, tmp_path: Path, data: bytes, *more: str, **held: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(system.good(*words(tmp_path, data, *more, **held), "--json"))
    return answer


def refusal(
    system: StillSystem, tmp_path: Path, data: bytes, *more: str, code: int = 2, holdout: Path | None = None
) -> str:
    before = [version.name for version in system.objects.list("ModelVersion")]
    said = system.bad(code, *words(tmp_path, data, *more, holdout=holdout))
    assert [version.name for version in system.objects.list("ModelVersion")] == before
    assert len(said.strip().splitlines()) == 1
    return said
