"""The reference CNNs compute what the formula says, and have the sizes that are promised."""

import numpy as np
import pytest
import torch

from skerry.core import errors
from skerry.nets import cnn


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y[o, i, j] = Σ_c Σ_m Σ_n x[c, i + m, j + n] · w[o, c, m, n] + b[o], in plain loops over the window."""
    _, height, width = x.shape
    out = np.zeros((len(w), height - 2, width - 2))
    for m in range(3):
        for n in range(3):
            window = x[:, m : m + height - 2, n : n + width - 2]
            out += np.einsum("chw,oc->ohw", window, w[:, :, m, n])
    return out + b[:, None, None]


def textbook_convolution(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y[i, j] = Σ_m Σ_n x[i − m, j − n] · w[m, n] where all of x is defined (one channel)."""
    height, width = x.shape
    out = np.zeros((height - 2, width - 2))
    for i in range(2, height):
        for j in range(2, width):
            out[i - 2, j - 2] = sum(x[i - m, j - n] * w[m, n] for m in range(3) for n in range(3))
    return out


def pool(x: np.ndarray) -> np.ndarray:
    channels, height, width = x.shape
    cut = x[:, : height // 2 * 2, : width // 2 * 2]
    return cut.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def test_the_reference_network_is_the_formula_layer_by_layer() -> None:
    torch.manual_seed(1)
    network = cnn.reference(10).eval()
    p = {name: value.detach().numpy().astype(np.float64) for name, value in network.named_parameters()}
    x = np.random.default_rng(0).normal(size=(1, 28, 28))
    h = pool(np.maximum(correlate(x, p["features.0.weight"], p["features.0.bias"]), 0))
    h = pool(np.maximum(correlate(h, p["features.3.weight"], p["features.3.bias"]), 0))
    h = np.maximum(correlate(h, p["features.6.weight"], p["features.6.bias"]), 0).reshape(-1)
    h = np.maximum(p["head.2.weight"] @ h + p["head.2.bias"], 0)
    expected = p["head.5.weight"] @ h + p["head.5.bias"]
    found = network(torch.from_numpy(x[None].astype(np.float32))).detach().numpy()[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_textbook_convolution_is_the_correlation_with_the_kernel_flipped() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(6, 7)), rng.normal(size=(3, 3))
    flipped = w[::-1, ::-1]
    by_torch = torch.nn.functional.conv2d(
        torch.from_numpy(x[None, None]), torch.from_numpy(flipped[None, None].copy())
    ).numpy()[0, 0]
    np.testing.assert_allclose(by_torch, textbook_convolution(x, w))
    np.testing.assert_allclose(by_torch, correlate(x[None], flipped[None, None], np.zeros(1))[0])


@pytest.mark.parametrize(
    ("factory", "parameters"), [(cnn.reference, 93_322), (cnn.small, 8_538)], ids=["reference", "small"]
)
def test_the_promised_number_of_parameters(factory: object, parameters: int) -> None:
    assert sum(one.numel() for one in factory(10).parameters()) == parameters  # type: ignore[operator]


@pytest.mark.parametrize("height", [18, 28, 33])
@pytest.mark.parametrize("factory", [cnn.reference, cnn.small, cnn.large])
def test_other_sizes_and_channels_fit(factory: object, height: int) -> None:
    network = factory(3, channels=2, height=height, width=40).eval()  # type: ignore[operator]
    assert network(torch.zeros(5, 2, height, 40)).shape == (5, 3)


@pytest.mark.parametrize("options", [{"classes": 1}, {"classes": 3, "height": 17}], ids=["one class", "too small"])
def test_what_cannot_be_built_is_refused_in_words(options: dict[str, int]) -> None:
    with pytest.raises(errors.InputError, match="18×18"):
        cnn.reference(**options)


@pytest.mark.parametrize("factory", [cnn.reference, cnn.large])
def test_slimming_away_nothing_changes_nothing(factory: object) -> None:
    torch.manual_seed(0)
    network = factory(4).eval()  # type: ignore[operator]
    x = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(network.slimmed(0.0)(x), network(x))


@pytest.mark.parametrize("factory", [cnn.reference, cnn.large])
def test_filters_without_weight_can_go_without_a_trace(factory: object) -> None:
    torch.manual_seed(0)
    network = factory(4).eval()  # type: ignore[operator]
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight[::2] = 0
                layer.bias[::2] = 0
            elif isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.copy_(torch.randn_like(layer.running_mean))
                layer.running_mean[::2] = 0
        hidden = next(one for one in network.head if isinstance(one, torch.nn.Linear))
        hidden.weight[::2] = 0
        hidden.bias[::2] = 0
    slim, x = network.slimmed(0.5), torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(slim(x), network(x))
    assert sum(one.numel() for one in slim.parameters()) < 0.3 * sum(one.numel() for one in network.parameters())
