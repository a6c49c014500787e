"""The golden set finds a version that answers wrongly here, and says how."""

import io
import zipfile
from typing import Any

import models
import numpy as np
import pytest

from skerry.core import errors, manifest, preprocessing
from skerry.core.tensors import Spec
from skerry.serving import selftest
from skerry.serving.network import Network


def _made(data: bytes, **changes: Any) -> manifest.Manifest:
    return models.manifest_for("digits", data, [models.X], [models.LOGITS], **changes)


def test_the_right_network_passes() -> None:
    found = selftest.check(_made(models.linear()), models.linear(), models.linear_golden())
    assert found.passed, found.reason
    assert found.max_difference < 1e-4
    assert found.latency_ms > 0


@pytest.mark.parametrize(
    ("data", "golden", "changes", "says"),
    [
        (models.linear(2.0), models.linear_golden(1.0), {}, "answers wrongly"),
        (models.linear(0.0), models.linear_golden(1.0), {}, "answers wrongly"),
        (models.linear(), models.linear_golden(), {"latency_cap_ms": 1e-6}, "takes"),
        (b"nothing", models.linear_golden(), {}, "cannot be loaded"),
        (models.linear(), b"nothing", {}, "not a readable npz"),
        (
            models.linear(),
            selftest.pack({"x": np.zeros((2, 4), np.float32)}, {"other": np.zeros(2)}),
            {},
            "needs outputs",
        ),
        (models.pair(), models.linear_golden(), {}, "which its manifest does not name"),
        (models.identity("FP32", (4,)), models.linear_golden(), {}, "has no output 'logits'"),
    ],
    ids=[
        "another network",
        "a network without weights",
        "a slow network",
        "no network",
        "no golden set",
        "a golden set without the outputs",
        "a network with other inputs",
        "a network with other outputs",
    ],
)
def test_a_wrong_version_is_told(data: bytes, golden: bytes, changes: dict[str, Any], says: str) -> None:
    found = selftest.check(_made(data, **changes), data, golden)
    assert not found.passed
    assert says in found.reason


def test_nan_in_the_golden_set_does_not_make_everything_pass() -> None:
    x = np.ones((1, 4), dtype=np.float32)
    golden = selftest.pack({"x": x}, {"logits": np.full((1, 3), np.nan)})
    assert not selftest.check(_made(models.linear()), models.linear(), golden).passed


def test_texts_go_through_the_vocabulary() -> None:
    data = models.identity("INT64", (3,))
    made = models.manifest_for(
        "words",
        data,
        [Spec("text", "BYTES", ())],
        [Spec("y", "INT64", (3,))],
        steps=(preprocessing.Vocabulary(("on", "off"), 3),),
        network_inputs=[Spec("x", "INT64", (3,))],
    )
    golden = selftest.pack({"text": np.array([b"turn on", b"off"])}, {"y": np.array([[0, 1, 2], [0, 0, 3]])})
    found = selftest.check(made, data, golden)
    assert found.passed, found.reason


def test_without_a_golden_set_zeros_are_tried() -> None:
    assert selftest.check(_made(models.linear()), models.linear(), None).passed
    made = models.manifest_for("log", models.not_finite(), [models.X], [Spec("logits", "FP32", (4,))])
    found = selftest.check(made, models.not_finite(), None)
    assert not found.passed
    assert "NaN" in found.reason


def test_a_bomb_is_not_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * (selftest.MAX_GOLDEN_BYTES + 1))
    with pytest.raises(errors.TooLargeError):
        selftest.unpack(out.getvalue(), _made(models.linear()))


def test_pickles_are_not_loaded() -> None:
    out = io.BytesIO()
    np.savez(out, x=np.array([{"a": 1}], dtype=object), logits=np.zeros((1, 3)))
    with pytest.raises(errors.IntegrityError, match="not a readable npz"):
        selftest.unpack(out.getvalue(), _made(models.linear()))


def test_a_golden_set_needs_one_number_of_rows_and_distinct_names() -> None:
    with pytest.raises(errors.InputError, match="rows"):
        selftest.pack({"x": np.zeros((2, 4))}, {"y": np.zeros((3, 4))})
    with pytest.raises(errors.InputError, match="'x'"):
        selftest.pack({"x": np.zeros((2, 4))}, {"x": np.zeros((2, 4))})


@pytest.mark.parametrize("kind", ["softmax", "statistics", "sum"])
def test_a_version_whose_rows_influence_one_another_is_told(kind: str) -> None:
    data = models.rows_together(kind)
    x = np.random.default_rng(1).normal(size=(6, models.FEATURES)).astype(np.float32)
    answers = Network.load(_made(data), data).answer({"x": x})[0]
    found = selftest.check(_made(data), data, selftest.pack({"x": x}, {"logits": answers}))
    assert not found.passed
    assert "influence one another" in found.reason
    assert "'logits'" in found.reason
    assert not selftest.check(_made(data), data, None).passed


def test_int8_networks_round_and_pass() -> None:
    data = models.quantized()
    x = np.random.default_rng(1).normal(size=(16, models.FEATURES)).astype(np.float32)
    answers = Network.load(_made(data), data).answer({"x": x})[0]
    found = selftest.check(_made(data), data, selftest.pack({"x": x}, {"logits": answers}))
    assert found.passed, found.reason


def test_rows_of_a_streaming_network_are_sequences_and_their_states_are_compared_too() -> None:
    state = (manifest.State("h", "h_next", (models.HIDDEN,)),)
    good, mixing = models.rnn(), models.rnn_with_rows_together()
    found = selftest.check(_made(good, state=state), good, None)
    assert found.passed, found.reason
    refused = selftest.check(_made(mixing, state=state), mixing, None)
    assert not refused.passed
    assert "(second step)" in refused.reason


@pytest.mark.parametrize("rows", [1, 8])
def test_a_version_of_a_fixed_number_of_rows_is_refused(rows: int) -> None:
    data = models.with_fixed_rows(models.linear(), rows)
    found = selftest.check(_made(data), data, models.linear_golden())
    assert not found.passed
    assert found.reason == (
        f"it takes exactly {rows} rows at a time: rows of several callers share one run, so export it with a free "
        "first axis"
    )
