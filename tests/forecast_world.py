"""A small world to train forecasts in: hourly readings of a sine with noise, as windows with truths and naive
forecasts, and one EdgeModel that is to forecast the next hour."""

from typing import Any

import numpy as np
from training_world import MODEL, World

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import dataset_parts, datasets, writers
from skerry.core.tasks import Forecast

HOUR_MS = 3_600_000
TASK = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=1, steps=1, naive=(1, 24))
INPUT = datasets.Input("window", "FP32", (12, 3))
NOISE = 6.0
TRAIN_DAYS, HELD_DAYS = 60, 25


def spec(**changes: Any) -> dict[str, Any]:
    """EdgeModel.spec of the forecaster."""
    made = {
        "task": "Forecast",
        **TASK.to_json(),
        "network": {
            "factory": "skerry.nets.forecasting:gru",
            "options": {"features": 3, "hidden": 8, "dense": 16, "quantiles_permille": [100, 500, 900]},
        },
        "input": {"name": INPUT.name, "datatype": INPUT.datatype, "shape": list(INPUT.shape)},
        "retrain": {"epochs": 6, "augment": "none", "learningRatePpm": 10_000},
    }
    return made | changes


def readings(seed: int = 0, level: float = 100.0) -> np.ndarray:
    """[hours] of all days, the holdout's last."""
    hours = np.arange((TRAIN_DAYS + HELD_DAYS + 3) * 24)
    noise = np.random.default_rng(seed).normal(size=len(hours)) * NOISE
    return level + 30 * np.sin(hours / 24 * 2 * np.pi) + noise


def rows(first_day: int, days: int, values: np.ndarray | None = None, series: str = "plant") -> dataset_parts.Rows:
    """A row for each hour: 12 hours of (reading, sine and cosine of the hour to come), the reading to come, the last
    one and the one of a day before."""
    values = readings() if values is None else values
    at = np.arange(first_day * 24, (first_day + days) * 24) + 24
    window = at[:, None] + np.arange(-11, 1)
    angle = (window + 1) / 24 * 2 * np.pi
    x = np.stack([values[window], np.sin(angle), np.cos(angle)], axis=2).astype(np.float32)
    naive = np.stack([values[at], values[at + 1 - 24]], axis=1)[:, :, None].astype(np.float32)
    named = np.full(len(at), series, dtype=dataset_parts.SERIES_DTYPE)
    y = values[at + 1][:, None].astype(np.float32)
    return dataset_parts.imported(x, y, TASK, first=int(at[0]), series=named, time=at * HOUR_MS, naive=naive)


class ForecastWorld(World):
    """Stores with the EdgeModel of the forecaster."""

    def __init__(self, **changes: Any) -> None:
        self.blobs, self.objects = MemoryBlobs(), MemoryObjects()
        self.objects.create("EdgeModel", MODEL, spec(**changes), manager=writers.OPERATOR)

    def series(self, train: dataset_parts.Rows | None = None, held: dataset_parts.Rows | None = None) -> str:
        """Store a dataset that is split by time, with an embargo of a day; returns its digest."""
        parts: dict[tuple[datasets.Role, datasets.Origin], dataset_parts.Rows] = {
            ("train", "imported"): rows(0, TRAIN_DAYS) if train is None else train,
            ("holdout", "imported"): rows(TRAIN_DAYS + 1, HELD_DAYS) if held is None else held,
        }
        return self.dataset(parts, task=TASK, input=INPUT)
