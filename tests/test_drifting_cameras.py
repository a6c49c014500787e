"""How the cameras of the cluster under test change: they really change what they say."""

import drifting_cameras
import numpy as np
import pytest


def test_about_the_stated_share_is_changed_and_the_rest_untouched() -> None:
    images = np.arange(1_000 * 784, dtype=np.uint8).reshape(1_000, 28, 28)
    changed = drifting_cameras.drift(images, np.random.default_rng(1))
    share = np.mean([not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)])
    assert share == pytest.approx(drifting_cameras.SHARE, abs=0.05)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_share_and_all(share: float) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    changed = drifting_cameras.drift(images, np.random.default_rng(1), share)
    assert sum(not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)) == round(20 * share)


def test_a_rotation_keeps_the_ink_near_the_middle() -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    image[10:18, 12:16] = 255
    turned = drifting_cameras._rotated(image, np.random.default_rng(0))
    assert turned.sum() == pytest.approx(image.sum(), rel=0.1)
    assert turned[13, 13] > 200
