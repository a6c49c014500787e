"""The demo's data and its drift: no image serves two purposes, and the cameras really change what they say."""

import numpy as np
import pytest

from skerry.cli.demo import cameras, digits


def test_no_image_serves_two_purposes() -> None:
    data = digits.load()
    parts = [data.train, data.holdout, data.early, data.late]
    images = [image.tobytes() for part in parts for image in part.x]
    assert sum(len(part.x) for part in parts) == 5_000
    assert len(data.holdout.x) >= 2_000
    # MNIST has a few identical scans of its own; across the parts none may be shared
    owners: dict[bytes, set[int]] = {}
    for number, part in enumerate(parts):
        for image in part.x:
            owners.setdefault(image.tobytes(), set()).add(number)
    assert [who for who in owners.values() if len(who) > 1] == []
    assert len(images) == 5_000


def test_about_the_stated_share_is_changed_and_the_rest_untouched() -> None:
    images = np.arange(1_000 * 784, dtype=np.uint8).reshape(1_000, 28, 28)
    changed = cameras.drift(images, np.random.default_rng(1))
    share = np.mean([not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)])
    assert share == pytest.approx(cameras.SHARE, abs=0.05)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_share_and_all(share: float) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    changed = cameras.drift(images, np.random.default_rng(1), share)
    assert sum(not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)) == round(20 * share)


def test_a_rotation_keeps_the_ink_near_the_middle() -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    image[10:18, 12:16] = 255
    turned = cameras._rotated(image, np.random.default_rng(0))
    assert turned.sum() == pytest.approx(image.sum(), rel=0.1)
    assert turned[13, 13] > 200
