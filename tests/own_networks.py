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


def softmaxed(classes: int = 3, *, dim: int = 1, evaluation_only: bool = False) -> nn.Module:
    """Ends in a softmax: over the classes (dim 1), or over the batch (dim 0), where rows influence one another."""
    return Softmaxed(classes, dim, evaluation_only)


class Softmaxed(nn.Module):
    def __init__(self, classes: int, dim: int, evaluation_only: bool) -> None:
        super().__init__()
        self.logits, self.dim, self.evaluation_only = Press(4, classes, 48), dim, evaluation_only

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.logits(x)
        return logits if self.training and self.evaluation_only else logits.softmax(dim=self.dim)


def batch_statistics(classes: int = 3) -> nn.Module:
    """Normalizes by the batch that it is in, in evaluation mode too."""
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(80, track_running_stats=False), nn.Linear(80, classes))


def always_drops(classes: int = 3) -> nn.Module:
    """Dropout that nobody turns off for evaluation."""
    return AlwaysDrops(classes)


class AlwaysDrops(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(80, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(nn.functional.dropout(x.flatten(1)))


def crossing() -> nn.Module:
    """A forecaster of three quantiles that nothing keeps in their order."""
    return Crossing()


class Crossing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.last(x[:, -1])
        return torch.cat([value + 5, value, value - 5], dim=1)


def offset(features: int = 80, classes: int = 3, width: int = 64, zero_point: float = 1200.0) -> nn.Module:
    """Between its layers one number, which nothing is learned from, is always large: 8 bits for all of them leave few
    levels to the others, and trained as usual it answers from what is between those levels."""
    return Offset(features, classes, width, zero_point)


class Offset(nn.Module):
    def __init__(self, features: int, classes: int, width: int, zero_point: float) -> None:
        super().__init__()
        self.zero_point = zero_point
        self.read = nn.Linear(features, width)
        self.out = nn.Linear(width, classes)
        self.register_buffer("unread", torch.zeros(classes, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = torch.relu(self.read(x.flatten(1)))
        large = torch.zeros_like(read[:, :1]) + self.zero_point
        weight = torch.cat([self.out.weight, self.unread], dim=1)
        return nn.functional.linear(torch.cat([read, large], dim=1), weight, self.out.bias)
