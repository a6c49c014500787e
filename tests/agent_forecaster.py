"""A node that forecasts on a tiny real model: [0, 0, 0, w] is answered w·5, in w·4 to w·6."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_cascade
import models
import numpy as np

from skerry.agent.update import version_store
from skerry.core import specs
from skerry.core.confidence import Calibration
from skerry.core.tasks import Forecast

LOAD = Forecast("load", "kWh", (100, 500, 900), 3600)
WIDE = [0.0, 0.0, 0.0, 9.0]  # 36, 45 and 54
NARROW = [0.0, 0.0, 0.0, 1.0]  # 4, 5 and 6
HOUR_MS = 3_600_000


async def served(node: agent_cascade.Node, number: int) -> None:
    """Version `number` serves: hard below .2, bad above 3."""
    data, golden = models.linear(1.0), models.linear_golden(1.0)
    made = replace(
        models.manifest_for("digits", data, [models.X], [models.LOGITS], golden=golden),
        task=LOAD,
        confidence=Calibration(threshold=0.2, widths=tuple(number - 3 + float(at) for at in range(21)), bound=3.0),
    )
    models.write(node.root, "digits", number, data, made, golden)
    await node.loader.swap(version_store.Slot("digits", number, made.digest, node.root / "digits" / str(number)))


async def forecaster(root: Path, **policy: Any) -> agent_cascade.Node:
    node = agent_cascade.Node(root)
    await served(node, 3)
    node.cascade.set_policy("digits", specs.OffloadSpec(**({"exploration_permille": 1000} | policy)))
    node.teacher.edit = lambda scores: np.tile(np.array([[1.0, 2.0, 4.0]], dtype=np.float32), (len(scores), 1))
    return node
