"""A user's own networks, as an EdgeModel names them: `own_networks:press`. Nothing of skerry is imported here."""

import torch
from torch import nn


def press(features: int = 4, classes: int = 3, width: int = 16) -> nn.Module:
    """A small 1-D convolution over windows [N, T, features]."""
    return Press(features, classes, width)


class Press(nn.Module):
    def __init__(self, features: int, classes: int, width: int) -> None:
        super().__init__()
        self.read = nn.Conv1d(features, width, kernel_size=5)
        self.mix = nn.Conv1d(width, width, kernel_size=1)
        self.out = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = torch.relu(self.read(x.transpose(1, 2)))
        return self.out(torch.relu(self.mix(read)).mean(dim=2))


def mean_only(classes: int = 3) -> nn.Module:
    """Nothing in it can become int8: no weights at all."""
    return MeanOnly(classes)


class MeanOnly(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=1)[:, : self.classes] * self.scale


def not_a_network() -> str:
    return "a text"


def wrong_answers(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes + 1))


def breaks(classes: int = 3) -> nn.Module:
    raise ValueError("width must be odd")


def explodes(classes: int = 3) -> nn.Module:
    """Trains to numbers that are none."""
    return Explodes(classes)


class Explodes(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(80, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x.flatten(1)) / (x.sum() * 0)
