"""The demo's data: no image serves two purposes, and the other population is one that no augmentation makes."""

import numpy as np
import pytest

from skerry.cli.demo import digits, digits_model
from skerry.core import specs


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    return digits.load()


def test_no_image_serves_two_purposes(data: digits.Digits) -> None:
    parts = [data.train, data.holdout, data.clean, data.taught, data.replay, data.final]
    assert sum(len(part.x) for part in parts) == 5_000 + 1_797
    assert len(data.holdout.x) >= 2_000
    # MNIST has a few identical scans of its own; across the parts none may be shared
    owners: dict[bytes, set[str]] = {}
    for part in parts:
        for image in part.x:
            owners.setdefault(image.tobytes(), set()).add(part.name)
    assert [who for who in owners.values() if len(who) > 1] == []


def test_every_part_has_all_digits_and_fits_the_model(data: digits.Digits) -> None:
    for part in (data.train, data.holdout, data.clean, data.taught, data.replay, data.final):
        assert set(part.y.tolist()) == set(range(10))
        assert part.x.shape == (len(part.y), 28, 28)
        assert part.x.dtype == np.uint8


def test_the_other_digits_fill_the_frame_and_keep_their_greys() -> None:
    corner = np.zeros((1, 8, 8))
    corner[0, 0, 0] = 16
    (big,) = digits.scaled_up(corner)
    assert big.shape == (28, 28)
    assert big[0, 0] == 255
    assert big[:7, :7].any()
    assert not big[7:].any()
    assert not big[:, 7:].any()
    assert (digits.scaled_up(np.full((1, 8, 8), 8.0)) == 128).all()


def test_the_cameras_can_show_what_the_retrain_policy_waits_for(data: digits.Digits) -> None:
    """A dataset holds each input once: were more asked for than there are images, the loop would wait for ever."""
    for network in ("cnn", "rnn"):
        model = digits_model.edge_model(network, "", automatic=True, tolerant=False)
        retrain = specs.parse_edge_model("digits", model["spec"]).retrain
        assert retrain.drift_min_examples <= len(data.replay.x)
        assert retrain.min_new_examples < len(data.replay.x) + len(data.clean.x)
        assert retrain.augment == "generic"  # the first version is held back in nothing
