"""The reference forecaster: a GRU over a window of past rows, quantiles of the next values out.

Input [N, T, features] float32 in the units of the series (T is free), output [N, steps · quantiles] in the unit of the
target: step after step, in each the quantiles in order. The scales of inputs and target are buffers of the network,
measured on the training rows (`fit_scales`): callers know nothing of them, and no file can ship without its own.

Quantiles cannot cross: the network gives the median and the distances outward from it, each at least 0 (softplus, as in
Gasthaus et al., "Probabilistic forecasting with spline quantile function RNNs", AISTATS 2019). GRU: Cho et al., 2014.
tests/nets/test_forecasting.py checks it against plain numpy.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional

from skerry.core import errors
from skerry.nets import rnn

MEDIAN = 500  # permille
FARTHEST = 8.0  # spreads from the mean that an input is taken for: a broken sensor must not saturate every unit


class Forecaster(nn.Module):
    """GRU → its last state beside the last row → Dense ReLU → for each step the median and the distances around it.

    The last row goes to the dense layer too: what is known of the target's own time (the calendar, the value a week
    before) stands there and need not pass through the recurrence. `from_last`: the network tells the change from the
    last value of the first feature, the target's own past, as far as that is believed.
    """

    reads = "series"

    def __init__(
        self,
        features: int,
        *,
        steps: int,
        quantiles_permille: Sequence[int],
        hidden: int,
        dense: int,
        streaming: bool = False,
        from_last: bool = False,
    ) -> None:
        super().__init__()
        quantiles = tuple(quantiles_permille)
        _check(features, steps, quantiles, hidden, dense)
        self.quantiles_permille, self.steps = quantiles, steps
        self.below, self.hidden, self.streaming = quantiles.index(MEDIAN), hidden, streaming
        self.from_last = from_last
        self.recurrence = nn.GRU(features, hidden, batch_first=True)
        self.dense = nn.Linear(hidden + features, dense)
        self.head = nn.Linear(dense, steps * len(quantiles))
        self.input_mean: torch.Tensor
        self.input_spread: torch.Tensor
        self.target_mean: torch.Tensor
        self.target_spread: torch.Tensor
        for name, size in (("input", features), ("target", 1)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        rnn.start_orthogonal(self.recurrence)

    def fit_scales(
        self, input_mean: ArrayLike, input_spread: ArrayLike, target_mean: float, target_spread: float
    ) -> None:
        """Take what the training rows are like: mean and standard deviation [features] of the inputs, and of the target
        over all steps. What never varies keeps its unit."""
        given = {"input": (input_mean, input_spread), "target": (target_mean, target_spread)}
        for name, (mean, spread) in given.items():
            kept = np.where(np.asarray(spread) > 0, spread, 1.0)
            getattr(self, f"{name}_mean").copy_(torch.as_tensor(np.asarray(mean, np.float32)))
            getattr(self, f"{name}_spread").copy_(torch.as_tensor(np.asarray(kept, np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer, _ = self.go_on(x, None)
        return answer

    def go_on(self, x: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The answer after a piece [N, t, features], from the hidden state [N, hidden] before it (None: zeros), and the
        state after it."""
        scaled = ((x - self.input_mean) / self.input_spread).clamp(-FARTHEST, FARTHEST)
        states, after = self.recurrence(scaled, None if state is None else state.unsqueeze(0))
        seen = torch.cat([states[:, -1], scaled[:, -1]], dim=1)
        raw = self.head(functional.relu(self.dense(seen)))
        ordered = self._ordered(raw.reshape(-1, self.steps, len(self.quantiles_permille)))
        return (self._origin(scaled) + self.target_spread * ordered).flatten(1), after.squeeze(0)

    def as_step(self) -> "ForecastStep":
        return ForecastStep(self)

    def _origin(self, scaled: torch.Tensor) -> torch.Tensor:
        """What the answers are told from: the target's mean, or the last value of each row [N, 1, 1]."""
        if not self.from_last:
            return self.target_mean
        return (self.input_mean[0] + self.input_spread[0] * scaled[:, -1, :1]).unsqueeze(2)

    def _ordered(self, raw: torch.Tensor) -> torch.Tensor:
        """Any numbers [N, steps, quantiles] as quantiles that do not cross."""
        median = raw[:, :, self.below : self.below + 1]
        up = functional.softplus(raw[:, :, self.below + 1 :]).cumsum(dim=2)
        down = functional.softplus(raw[:, :, : self.below]).flip(2).cumsum(dim=2).flip(2)
        return torch.cat([median - down, median, median + up], dim=2)


class ForecastStep(nn.Module):
    """The same network fed piece by piece: the caller keeps the hidden state between two pieces."""

    state_names = ("h1",)

    def __init__(self, network: Forecaster) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.go_on(x, state)


def gru(
    features: int,
    steps: int = 1,
    quantiles_permille: Sequence[int] = (100, 500, 900),
    hidden: int = 48,
    dense: int = 64,
    streaming: bool = False,
    from_last: bool = False,
) -> nn.Module:
    """For windows of a series [N, T, features]; 13,507 parameters for 14 features and one step of three quantiles. A
    `streaming` one learns from windows too, and callers send it the series piece by piece. `from_last` suits a target
    that its last value tells much of: what is learned is the change, and a network of nothing is the last value."""
    return Forecaster(
        features,
        steps=steps,
        quantiles_permille=quantiles_permille,
        hidden=hidden,
        dense=dense,
        streaming=streaming,
        from_last=from_last,
    )


def _check(features: int, steps: int, quantiles: tuple[int, ...], hidden: int, dense: int) -> None:
    if min(features, steps, hidden, dense) < 1:
        raise errors.InputError(
            f"no forecaster of {features} features, {steps} steps, {hidden} hidden and {dense} dense units: "
            "each must be at least 1"
        )
    if (
        MEDIAN not in quantiles
        or list(quantiles) != sorted(set(quantiles))
        or not 0 < quantiles[0] <= quantiles[-1] < 1000
    ):
        raise errors.InputError(
            f"quantiles_permille {list(quantiles)} must increase, lie in 1..999 and have the median, {MEDIAN}, among "
            "them"
        )
