"""Augmentation keeps shapes and ranges, is seeded, suits what the network reads, and refuses what it cannot do."""

import numpy as np
import pytest
import torch
from torch import nn

from skerry.core import errors
from skerry.nets import augment, cnn, rnn

LIMITS = augment.Range(0.0, 1.0)
IMAGES, SEQUENCE, TOKENS = (augment.LISTS[name] for name in ("images", "sequence", "tokens"))
SHIFT = augment.resolve("shift", nn.Identity(), np.zeros((1, 1, 8, 8), np.float32))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*(shape or (64, 1, 20, 24)), generator=generator(9))


@pytest.mark.parametrize(
    ("operations", "shape"),
    [
        pytest.param(IMAGES, (64, 1, 20, 24), id="gray images"),
        pytest.param(IMAGES, (64, 3, 20, 24), id="color images"),
        pytest.param(IMAGES, (64, 20, 24), id="images without a channel axis"),
        pytest.param(SHIFT, (64, 20, 24), id="shifted images without a channel axis"),
        pytest.param(SEQUENCE, (64, 20, 4), id="windows"),
    ],
)
def test_shapes_are_kept_and_most_samples_change(operations: tuple[augment.Operation, ...], shape: tuple[int]) -> None:
    x = images(*shape)
    out = augment.apply(operations, x.clone(), LIMITS, generator())
    assert out.shape == x.shape and bool(torch.isfinite(out).all())
    changed = (out != x).reshape(len(x), -1).any(dim=1).float().mean()
    assert 0.6 < float(changed) < 1.0


def test_an_empty_batch_stays_empty_and_the_batch_itself_is_not_changed() -> None:
    x = images()
    before = x.clone()
    augment.apply(IMAGES, x, LIMITS, generator())
    assert bool((x == before).all())
    assert len(augment.apply(IMAGES, x[:0], LIMITS, generator())) == 0


def test_one_seed_gives_the_same_images() -> None:
    one, same, other = (augment.apply(IMAGES, images(), LIMITS, generator(seed)) for seed in (1, 1, 2))
    assert bool((one == same).all()) and bool((one != other).any())


@pytest.mark.parametrize("operation", IMAGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("limits", [LIMITS, augment.Range(-1.0, 1.0)], ids=["0..1", "-1..1"])
def test_every_operation_on_images_keeps_the_range_of_the_data(
    operation: augment.Operation, limits: augment.Range
) -> None:
    out = operation(images() * limits.span + limits.low, limits, generator())
    assert out.shape == images().shape
    assert float(out.min()) >= limits.low - 1e-5 and float(out.max()) <= limits.high + 1e-5


def test_outside_of_a_shifted_image_it_is_dark() -> None:
    x = torch.full((50, 1, 20, 20), 1.0)
    out = SHIFT[0](x, augment.Range(-1.0, 1.0), generator())
    assert float(out.min()) == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("network", "x", "expected"),
    [
        pytest.param(nn.Identity(), np.zeros((2, 1, 8, 8), np.float32), IMAGES, id="three axes are an image"),
        pytest.param(nn.Identity(), np.zeros((2, 32, 4), np.float32), SEQUENCE, id="two axes are a window"),
        pytest.param(nn.Identity(), np.zeros((2, 8), np.float32), (), id="plain features are left alone"),
        pytest.param(rnn.tokens(2), np.zeros((2, 8), np.int64), TOKENS, id="token ids are words"),
        pytest.param(rnn.rows(2), np.zeros((2, 28, 28), np.float32), SEQUENCE, id="a recurrent network reads windows"),
        pytest.param(cnn.small(2), np.zeros((2, 28, 28), np.float32), IMAGES, id="a CNN reads images"),
    ],
)
def test_generic_means_what_suits_the_input(
    network: nn.Module, x: np.ndarray, expected: tuple[augment.Operation, ...]
) -> None:
    assert tuple(augment.resolve("generic", network, x)) == expected
    assert augment.resolve("none", network, x) == ()


@pytest.mark.parametrize(
    ("name", "x", "word"),
    [
        pytest.param("mixup", np.zeros((2, 1, 8, 8), np.float32), "none, shift, generic", id="an unknown list"),
        pytest.param("shift", np.zeros((2, 8), np.float32), "two axes", id="shifting plain features"),
        pytest.param("shift", np.zeros((2, 8, 8), np.int64), "real numbers", id="shifting token ids"),
    ],
)
def test_what_cannot_be_augmented_is_refused(name: str, x: np.ndarray, word: str) -> None:
    with pytest.raises(errors.InputError, match=word):
        augment.resolve(name, nn.Identity(), x)
