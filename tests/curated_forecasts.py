"""A forecaster in the curator's world: its captured windows, and their truths."""

from typing import Any

import curating
import numpy as np

from skerry.core import digests
from skerry.core.series import splitting
from skerry.core.tasks import Forecast
from skerry.proto import fleet_pb2

LOAD = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=2, steps=2, naive=(1, 24))
SPEC: dict[str, Any] = {
    "task": "Forecast",
    **LOAD.to_json(),
    "input": {"name": "window", "datatype": "FP32", "shape": [4, 1]},
}
HOUR_MS = 3_600_000
START_MS = 2_000 * splitting.WEEK_MS


def world() -> curating.World:
    """A curator that knows the model `load`."""
    made = curating.World()
    made.objects.create("EdgeModel", "load", SPEC, manager="operator")
    made.schedule.tick()
    return made


def value(hour: int) -> float:
    return 100.0 + hour


def example(hour: int, **changes: Any) -> bytes:
    """The window of four hours up to `hour`, answered by 0, 1, 2 twice."""
    window = np.array([value(at) for at in range(hour - 3, hour + 1)], dtype=np.float32)
    made = fleet_pb2.Example(
        model="load",
        node="north",
        request_id=f"h{hour}",
        digest=curating.VERSION,
        kind=fleet_pb2.EXPLORATION,
        inputs=[fleet_pb2.CapturedTensor(name="window", datatype="FP32", shape=[1, 4, 1], raw=window.tobytes())],
        local_logits=[0.0, 1.0, 2.0, 0.0, 1.0, 2.0],
        answered_unix_ms=1_000_000 + hour,
        label_map=LOAD.digest,
        series="plant",
        series_unix_ms=START_MS + hour * HOUR_MS,
    )
    for name, given in changes.items():
        setattr(made, name, given)
    return bytes(made.SerializeToString(deterministic=True))


def truth(data: bytes, values: list[float], **changes: Any) -> bytes:
    made = fleet_pb2.Truth(
        model="load",
        example_id=digests.sha256(data),
        values=values,
        **({"node": "north", "label_map": LOAD.digest} | changes),
    )
    return bytes(made.SerializeToString(deterministic=True))
