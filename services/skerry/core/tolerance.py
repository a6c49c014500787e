"""How far two answers to the same row may lie apart and still be the same answer: 2 % of the largest number in them.

Kernels of other CPUs and of other batch sizes round differently, and dynamic int8 quantization takes its scale from the
whole run; another network, one without weights, or one whose rows influence one another is far away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE, MIN = 0.02, 1e-3


def of(answers: NDArray[Any]) -> float:
    """Absolute, for answers of any shape (also none); numbers that are not finite are left out."""
    sizes = np.abs(answers.astype(np.float64))
    return max(MIN, round(SHARE * float(sizes[np.isfinite(sizes)].max(initial=0.0)), 4))
