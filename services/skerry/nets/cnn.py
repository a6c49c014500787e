"""The reference convolutional networks: one shape of network in three widths.

A convolution of textbooks is y[i, j] = Σ_m Σ_n x[i − m, j − n] · w[m, n], with the kernel flipped. torch, like every
framework, computes the correlation y[i, j] = Σ_m Σ_n x[i + m, j + n] · w[m, n] + b instead (Goodfellow, Bengio &
Courville, "Deep Learning", 2016, eqs. 9.4 and 9.6; torch.nn.Conv2d): the kernel is learned, so the flip only renames
its entries, and it went into the weights. tests/nets/test_cnn.py checks it against plain numpy.
"""

from collections.abc import Sequence

import torch
from torch import nn

from skerry.core import errors


class Cnn(nn.Module):
    """Conv 3×3 ReLU → MaxPool 2 → Conv 3×3 ReLU → MaxPool 2 → Conv 3×3 ReLU → Flatten → Dense ReLU → Dense.

    Input [N, channels, height, width] float32 (or [N, height, width] with one channel), output logits [N, classes].
    `normalize` puts batch normalization after
    each convolution (it is folded into the weights on export); `dropout` acts before both dense layers.
    """

    reads = "images"
    prune_permille = 0  # units that can go by default: see `reference`

    def __init__(
        self,
        classes: int,
        *,
        channels: int = 1,
        height: int = 28,
        width: int = 28,
        widths: Sequence[int] = (32, 64, 64),
        dense: int = 64,
        normalize: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.made_of = {
            "channels": channels,
            "height": height,
            "width": width,
            "normalize": normalize,
            "dropout": dropout,
        }
        rows, columns = _after_features(height), _after_features(width)
        if classes < 2 or rows < 1 or columns < 1 or len(widths) != 3:
            raise errors.InputError(
                f"a CNN for {classes} classes on {height}×{width} with widths {list(widths)} cannot be built: "
                "it needs at least 2 classes, images of at least 18×18 and three widths"
            )
        layers: list[nn.Module] = []
        before = channels
        for index, after in enumerate(widths):
            layers += [nn.Conv2d(before, after, kernel_size=3)]
            layers += [nn.BatchNorm2d(after)] if normalize else []
            layers += [nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if index < 2 else []
            before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(before * rows * columns, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images = x.unsqueeze(1) if x.dim() == 3 else x
        logits: torch.Tensor = self.head(self.features(images))
        return logits

    def slimmed(self, share: float) -> "Cnn":
        """A narrower copy without the `share` (0–1) of filters and hidden units that have the smallest weights (L1
        norm; Li et al., "Pruning filters for efficient convnets", 2017). It needs some training to recover."""
        convolutions = [layer for layer in self.features if isinstance(layer, nn.Conv2d)]
        hidden, last = (layer for layer in self.head if isinstance(layer, nn.Linear))
        keep = [_strongest(layer.get_parameter("weight"), share) for layer in (*convolutions, hidden)]
        widths = tuple(len(indices) for indices in keep[:3])
        slim = Cnn(last.out_features, **self.made_of, widths=widths, dense=len(keep[3]))  # type: ignore[arg-type]  # `made_of` holds arguments of several types
        before = torch.arange(convolutions[0].in_channels)
        for ours, theirs, mine in zip(_blocks(self.features), _blocks(slim.features), keep[:3], strict=True):
            _copy(ours[0], theirs[0], mine, before)
            for norm, narrow in zip(ours[1:], theirs[1:], strict=True):
                narrow.load_state_dict({k: v[mine] if v.dim() else v for k, v in norm.state_dict().items()})
            before = mine
        positions = hidden.in_features // convolutions[-1].out_channels
        inputs = (before[:, None] * positions + torch.arange(positions)).flatten()
        narrow_hidden, narrow_last = (layer for layer in slim.head if isinstance(layer, nn.Linear))
        _copy(hidden, narrow_hidden, keep[3], inputs)
        _copy(last, narrow_last, torch.arange(last.out_features), keep[3])
        return slim.eval()


def reference(classes: int, channels: int = 1, height: int = 28, width: int = 28) -> nn.Module:
    """The reference CNN: 93,322 parameters for 10 classes on 28×28×1. A run also tries it without half of its units."""
    network = Cnn(classes, channels=channels, height=height, width=width)
    network.prune_permille = 500
    return network


def small(classes: int, channels: int = 1, height: int = 28, width: int = 28) -> nn.Module:
    """A student for small nodes: 8,538 parameters for 10 classes on 28×28×1."""
    return Cnn(classes, channels=channels, height=height, width=width, widths=(8, 16, 16), dense=32)


def large(classes: int, channels: int = 1, height: int = 28, width: int = 28) -> nn.Module:
    """A teacher: batch normalization, dropout, and as wide as a cloud CPU answers in about a millisecond."""
    return Cnn(
        classes,
        channels=channels,
        height=height,
        width=width,
        widths=(32, 64, 128),
        dense=256,
        normalize=True,
        dropout=0.3,
    )


def _strongest(weight: torch.Tensor, share: float) -> torch.Tensor:
    """Indices, in order, of the outputs that stay."""
    keep = max(1, round(len(weight) * (1 - share)))
    return weight.detach().abs().flatten(1).sum(dim=1).topk(keep).indices.sort().values


def _blocks(features: nn.Sequential) -> list[list[nn.Module]]:
    """Each convolution with the batch normalization that follows it, if any."""
    blocks: list[list[nn.Module]] = []
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            blocks.append([layer])
        elif isinstance(layer, nn.BatchNorm2d):
            blocks[-1].append(layer)
    return blocks


def _copy(ours: nn.Module, theirs: nn.Module, outputs: torch.Tensor, inputs: torch.Tensor) -> None:
    with torch.no_grad():
        theirs.get_parameter("weight").copy_(ours.get_parameter("weight")[outputs][:, inputs])
        theirs.get_parameter("bias").copy_(ours.get_parameter("bias")[outputs])


def _after_features(size: int) -> int:
    """Rows (or columns) that are left after conv, pool, conv, pool, conv."""
    return ((size - 2) // 2 - 2) // 2 - 2
