"""A version as a node runs it: its manifest and its model file through the serving path."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core.manifest import Manifest
from skerry.serving.network import Network, NotFiniteError

BATCH_ROWS = 256


class Shipped:
    """Answers rows as callers send them. Raises IntegrityError when the file is not what the manifest describes."""

    def __init__(self, manifest: Manifest, model: bytes) -> None:
        self.manifest, self.model = manifest, model
        self._network = Network.load(manifest, model)

    @property
    def takes_ids(self) -> bool:
        """Does the network look its inputs up instead of computing with them?"""
        return self.manifest.network_inputs[0].datatype not in ("FP16", "FP32", "FP64", "BF16")

    def logits(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What the version answers, [n, width], for `x` [n, …]; a row of NaN where the network gives no usable answer.
        Raises InputError when the rows do not fit the network."""
        answers = [self._answer(x[at : at + BATCH_ROWS]) for at in range(0, len(x), BATCH_ROWS)]
        return np.concatenate([np.empty((0, self.manifest.task.width), dtype=np.float32), *answers])

    def _answer(self, x: NDArray[Any]) -> NDArray[np.float32]:
        try:
            return np.asarray(self._network.answer({self.manifest.inputs[0].name: x})[0], dtype=np.float32)
        except NotFiniteError:
            if len(x) == 1:
                return np.full((1, self.manifest.task.width), np.nan, dtype=np.float32)
            return np.concatenate([self._answer(x[at : at + 1]) for at in range(len(x))])
