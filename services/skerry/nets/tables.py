"""The reference network for rows of a table: numbers of any unit and size in one row, a class out.

Input [N, features] float32 as callers send it, output logits [N, classes]. Each column goes in twice, as it is and by
the logarithm of its size (areas and sums of light span decades), and both are normalized by what was seen in training
(Ioffe & Szegedy, "Batch Normalization", 2015): callers know nothing of it. A row is answered by itself.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from skerry.core import errors


class TableNetwork(nn.Module):
    """Normalized columns → dense layers with ReLU and dropout → logits."""

    reads = "table"

    def __init__(self, classes: int, features: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        if classes < 2 or features < 1 or not hidden or min(hidden) < 1 or not 0 <= dropout < 1:
            raise errors.InputError(
                f"no network for {features} columns and {classes} classes with hidden layers {list(hidden)} and "
                f"dropout {dropout}: at least one column, two classes, one unit in each layer, dropout in [0, 1)"
            )
        self.dropout = dropout
        self.columns = nn.BatchNorm1d(2 * features, affine=False)
        sizes = [2 * features, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.columns(torch.cat([x, torch.sign(x) * torch.log1p(torch.abs(x))], dim=1))
        for layer in self.layers:
            seen = functional.dropout(functional.relu(layer(seen)), self.dropout, self.training)
        logits: torch.Tensor = self.head(seen)
        return logits


def mlp(classes: int, features: int, hidden: Sequence[int] = (128, 64), dropout: float = 0.2) -> nn.Module:
    """For rows of a table [N, features]; 15,751 parameters for 27 columns and 7 classes."""
    return TableNetwork(classes, features, hidden, dropout)
