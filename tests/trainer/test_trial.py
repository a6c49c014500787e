"""The self-test before a proposal runs in a child with bounds: whatever the file does, the run goes on in words."""

import models
import numpy as np

from skerry.core.manifest import Manifest
from skerry.serving import selftest
from skerry.serving.network import Network
from skerry.trainer import trial

GOLDEN = models.linear_golden()


def described(data: bytes) -> Manifest:
    return models.manifest_for("digits", data, [models.X], [models.LOGITS])


def test_a_good_version_has_no_fault() -> None:
    assert trial.fault(described(models.linear()), models.linear(), GOLDEN) == ""


def test_a_version_that_answers_otherwise_is_told() -> None:
    data = models.linear(2.0)
    assert "answers wrongly" in trial.fault(described(data), data, GOLDEN)


def test_rows_that_influence_one_another_are_told() -> None:
    data = models.rows_together("softmax")
    x = np.random.default_rng(1).normal(size=(6, models.FEATURES)).astype(np.float32)
    answers = Network.load(described(data), data).answer({"x": x})[0]
    golden = selftest.pack({"x": x}, {"logits": answers})
    assert "its rows influence one another" in trial.fault(described(data), data, golden)


def test_a_version_that_needs_more_memory_than_it_may_take_ends_the_child_alone() -> None:
    data = models.linear()
    found = trial.fault(described(data), data, GOLDEN, memory_bytes=64 << 20)
    assert found.startswith("the process that tried it ")
