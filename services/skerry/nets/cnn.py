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


def reference(classes: int, channels: int = 1, height: int = 28, width: int = 28) -> nn.Module:
    """The reference CNN: 93,322 parameters for 10 classes on 28×28×1."""
    return Cnn(classes, channels=channels, height=height, width=width)


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


def _after_features(size: int) -> int:
    """Rows (or columns) that are left after conv, pool, conv, pool, conv."""
    return ((size - 2) // 2 - 2) // 2 - 2
