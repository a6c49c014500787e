"""Generic augmentation on batches of network inputs: what cameras and sensors commonly do, not what one of them did.

The list for images follows RandAugment (Cubuk et al., 2020): each sample gets some operations of the list at a random
strength. It is fixed here and knows nothing of any data set; a run only chooses a list by name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from skerry.core import errors

Operation = Callable[[torch.Tensor, "Range", torch.Generator], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the greatest value of the training inputs: what black and white are."""

    low: float
    high: float

    @property
    def span(self) -> float:
        return max(self.high - self.low, 1e-6)


def resolve(name: str, network: nn.Module, x: NDArray[Any], reads: str = "") -> Sequence[Operation]:
    """The operations that the list `name` (none, shift, generic) means for inputs `x` [n, …] of `network`.

    `generic` means what suits the input: the task may say so by `reads` ("series": a window whose last row is now), or
    the network by an attribute `reads` ("images" or "sequence"); else two axes are a window [T, features], three an
    image [channels, height, width], one of whole numbers token ids; plain features are left alone. Raises InputError
    for an unknown name, or shifting what has no place.
    """
    reals = x.dtype.kind == "f"
    kind = reads or getattr(network, "reads", None) or {3: "sequence", 4: "images"}.get(x.ndim, "")
    if not reals:
        kind = "tokens" if x.ndim == 2 else ""
    if name == "none" or (name == "generic" and kind not in LISTS):
        return ()
    if name == "generic":
        return LISTS[kind]
    if name != "shift":
        raise errors.InputError(f"augment {name!r} is unknown: choose one of none, shift, generic")
    if kind == "series":
        raise errors.InputError("augment 'shift' would move a series against its truth; use 'generic' or 'none'")
    if not reals or x.ndim < 3:
        raise errors.InputError("augment 'shift' needs inputs of real numbers with two axes or three; use 'none'")
    return (_shift,)


def apply(operations: Sequence[Operation], x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """`x` [N, …] float: each sample keeps its values with probability 1/8, else gets one operation or two."""
    for chance in (0.75, 0.5):
        x = _one_each(operations, x, limits, generator, chance)
    return x


def _one_each(
    operations: Sequence[Operation], x: torch.Tensor, limits: Range, generator: torch.Generator, chance: float
) -> torch.Tensor:
    """Each sample gets one random operation of the list with probability `chance`."""
    choice = torch.randint(len(operations), (len(x),), generator=generator)
    choice[torch.rand(len(x), generator=generator) >= chance] = -1
    out = x.clone()
    for index, operation in enumerate(operations):
        mine = (choice == index).nonzero().flatten()
        if len(mine):
            out[mine] = operation(x[mine], limits, generator)
    return out


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _warp(x: torch.Tensor, limits: Range, matrix: torch.Tensor) -> torch.Tensor:
    """Sample the images [N, C, H, W] or [N, H, W] at `matrix` [N, 2, 3]; what comes in from outside is as dark as
    `low`."""
    images = x if x.dim() == 4 else x.unsqueeze(1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images - limits.low, grid, align_corners=False, padding_mode="zeros") + limits.low
    return moved.reshape(x.shape)


def _affine(
    n: int,
    *,
    angle: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
    shear: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
) -> torch.Tensor:
    """[N, 2, 3] from angles (radians), scales, shears and shifts (of half the image)."""
    zero, one = torch.zeros(n), torch.ones(n)
    turn, grow = zero if angle is None else angle, one if scale is None else scale
    lean, move = zero if shear is None else shear, torch.zeros(n, 2) if shift is None else shift
    cos, sin = torch.cos(turn) / grow, torch.sin(turn) / grow
    first = torch.stack([cos, -sin + lean, move[:, 0]], dim=1)
    second = torch.stack([sin, cos, move[:, 1]], dim=1)
    return torch.stack([first, second], dim=1)


def _shift(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    moves = (torch.rand(len(x), 2, generator=generator) - 0.5) * 0.3
    return _warp(x, limits, _affine(len(x), shift=moves))


def _rotate(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    return _warp(x, limits, _affine(len(x), angle=_uniform(len(x), -math.pi / 6, math.pi / 6, generator)))


def _scale(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    return _warp(x, limits, _affine(len(x), scale=_uniform(len(x), 0.8, 1.2, generator)))


def _shear(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    return _warp(x, limits, _affine(len(x), shear=_uniform(len(x), -0.3, 0.3, generator)))


def _invert(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    return limits.low + limits.high - x


def _contrast(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """Contrast around the middle of the range, and brightness."""
    strength = _each(_uniform(len(x), 0.4, 1.4, generator), x)
    light = _each(_uniform(len(x), -0.2, 0.2, generator), x) * limits.span
    middle = (limits.low + limits.high) / 2
    return ((x - middle) * strength + middle + light).clamp(limits.low, limits.high)


def _noise(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    strength = _each(_uniform(len(x), 0.0, 0.3, generator), x) * limits.span
    return (x + torch.randn(x.shape, generator=generator) * strength).clamp(limits.low, limits.high)


def _blur(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """The mean of 3×3 pixels, mixed with the image at a random share."""
    share = _each(_uniform(len(x), 0.2, 1.0, generator), x)
    return x + share * (functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False) - x)


def _erase(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """A rectangle of up to a third of each side turns gray."""
    height, width = x.shape[-2:]
    mask = _box(len(x), height, generator)[:, :, None] & _box(len(x), width, generator)[:, None, :]
    mask = mask if x.dim() == 3 else mask[:, None]
    gray = _each(_uniform(len(x), limits.low, limits.high, generator), x)
    return torch.where(mask, gray, x)


def _box(n: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """[n, size] bool: an interval of up to a third."""
    length = torch.rand(n, 1, generator=generator) * size / 3
    start = torch.rand(n, 1, generator=generator) * size
    at = torch.arange(size)[None, :]
    return (at >= start) & (at < start + length)


def _jitter(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """Noise in proportion to what each feature varies over the window [N, T, features]."""
    spread = x.std(dim=1, keepdim=True, unbiased=False)
    strength = _each(_uniform(len(x), 0.0, 0.1, generator), x)
    return x + torch.randn(x.shape, generator=generator) * spread * strength


def _jitter_past(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """`_jitter`, but the last row, which is now, stays: noise in what a forecast starts from would be learned as if the
    truth were that uncertain, and the interval would come too wide."""
    return torch.cat([_jitter(x, limits, generator)[:, :-1], x[:, -1:]], dim=1)


def _amplify(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    return x * _each(_uniform(len(x), 0.9, 1.1, generator), x)


def _delay(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """Shift in time by up to a tenth of the window; the edge value is held."""
    length = x.shape[1]
    reach = max(1, length // 10)
    by = torch.randint(-reach, reach + 1, (len(x), 1), generator=generator)
    at = (torch.arange(length)[None, :] + by).clamp(0, length - 1)
    return x[torch.arange(len(x))[:, None], at]


def _forget(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """Up to a fifth of the tokens become unknown (id 1); padding (id 0) stays, and so does a word of each text."""
    share = torch.rand(len(x), 1, generator=generator) / 5
    gone = (torch.rand(x.shape, generator=generator) < share) & (x > 1)
    gone &= ~(gone | (x <= 1)).all(dim=1, keepdim=True)
    return torch.where(gone, torch.ones_like(x), x)


def _exchange(x: torch.Tensor, limits: Range, generator: torch.Generator) -> torch.Tensor:
    """Two neighbouring tokens change places (Wei & Zou, "EDA", EMNLP 2019, swap at random), where both are words."""
    if x.shape[1] < 2:
        return x
    length = (x > 0).sum(dim=1)  # behind the padding
    at = (torch.rand(len(x), generator=generator) * (length - 1).clamp(min=1)).long() + (x > 0).long().argmax(dim=1)
    rows, out = torch.arange(len(x)), x.clone()
    both = length >= 2
    out[rows[both], at[both]], out[rows[both], at[both] + 1] = x[rows[both], at[both] + 1], x[rows[both], at[both]]
    return out


def _each(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One value per sample, shaped to multiply `x`."""
    return values.reshape(-1, *[1] * (x.dim() - 1))


LISTS: Mapping[str, tuple[Operation, ...]] = {
    "images": (_shift, _rotate, _scale, _shear, _invert, _contrast, _noise, _blur, _erase),
    "sequence": (_jitter, _amplify, _delay),
    "tokens": (_forget, _exchange),
    "series": (_jitter_past,),  # what is forecast follows level and moment of the window: neither may move alone
}
