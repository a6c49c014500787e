"""The data plane: the manifest is enforced, a bad request harms nobody, the active version answers."""

from pathlib import Path

import models
import numpy as np
import pytest
from models import tensor
from plane import Plane, error_of, reply_of

from skerry.core import errors, preprocessing, tensors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Spec, Tensor
from skerry.serving import runtime


async def test_a_request_is_answered_by_the_network(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 3)
    plane = await Plane(tmp_path).load_all()
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    reply = await plane.ask("digits", tensor(x))
    assert (reply.model, reply.version) == ("digits", "3")
    assert reply.digest == plane.registry.lookup("digits").digest
    (logits,) = reply.outputs
    assert (logits.name, logits.datatype, logits.shape) == ("logits", "FP32", (2, 3))
    np.testing.assert_allclose(logits.data, x @ models.weights(1.0), rtol=1e-6)


async def test_an_int8_network_is_answered_alike(tmp_path: Path) -> None:
    data = models.quantized()
    models.write(tmp_path, "digits", 1, data, models.manifest_for("digits", data, [models.X], [models.LOGITS]), None)
    plane = await Plane(tmp_path).load_all()
    x = np.array([[1.0, -2.0, 0.5, 3.0]], dtype=np.float32)
    reply = await plane.ask("digits", tensor(x))
    np.testing.assert_allclose(reply.outputs[0].data, x @ models.weights(1.0), atol=0.6)


async def test_preprocessing_of_the_manifest_is_applied(tmp_path: Path) -> None:
    data = models.linear()
    made = models.manifest_for(
        "digits",
        data,
        [Spec("image", "UINT8", (2, 2))],
        [models.LOGITS],
        steps=(preprocessing.Affine(0.5), preprocessing.Reshape((4,))),
        network_inputs=[models.X],
    )
    models.write(tmp_path, "digits", 1, data, made, None)
    plane = await Plane(tmp_path).load_all()
    image = np.array([[[2, 4], [6, 8]]], dtype=np.uint8)
    reply = await plane.ask("digits", tensor(image, "image", np.uint8))
    np.testing.assert_allclose(reply.outputs[0].data, [[1.0, 2.0, 3.0, 4.0]] @ models.weights(1.0), rtol=1e-6)


BAD = [
    ("an unknown model", InferRequest("other", (tensor([[1, 2, 3, 4]]),)), errors.NotFoundError, "other"),
    ("an unknown version", InferRequest("digits", (tensor([[1, 2, 3, 4]]),), "9"), errors.NotFoundError, "'9'"),
    ("a version that is no number", InferRequest("digits", (), "one"), errors.NotFoundError, "'one'"),
    ("no input", InferRequest("digits", ()), errors.InputError, "'x' is missing"),
    ("an unknown input", InferRequest("digits", (tensor([[1]], "y"),)), errors.InputError, "'x' is missing"),
    (
        "an input too many",
        InferRequest("digits", (tensor([[1, 2, 3, 4]]), tensor([[1]], "y"))),
        errors.InputError,
        "'y' is unknown",
    ),
    (
        "an input twice",
        InferRequest("digits", (tensor([[1, 2, 3, 4]]), tensor([[1, 2, 3, 4]]))),
        errors.InputError,
        "twice",
    ),
    (
        "FP64 for FP32",
        InferRequest("digits", (tensor([[1, 2, 3, 4]], dtype=np.float64),)),
        errors.InputError,
        "'x' must be FP32",
    ),
    ("a missing batch axis", InferRequest("digits", (tensor([1, 2, 3, 4]),)), errors.InputError, "batch axis first"),
    ("a wrong width", InferRequest("digits", (tensor([[1, 2, 3]]),)), errors.InputError, "[-1, 4]"),
    (
        "an unknown output",
        InferRequest("digits", (tensor([[1, 2, 3, 4]]),), outputs=("probabilities",)),
        errors.InputError,
        "'probabilities' is unknown",
    ),
    ("NaN", InferRequest("digits", (tensor([[1, np.nan, 3, 4]]),)), errors.InputError, "NaN"),
    ("infinity", InferRequest("digits", (tensor([[1, 2, -np.inf, 4]]),)), errors.InputError, "NaN or an infinity"),
]


@pytest.mark.parametrize(("request_", "kind", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_request_is_refused_alone_and_counted(
    tmp_path: Path, request_: InferRequest, kind: type[Exception], says: str
) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path).load_all()
    good = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    before, bad, after = await plane.answers([good, request_, good])
    assert type(error_of(bad)) is kind
    assert says in str(bad)
    assert reply_of(before).outputs[0].data.tobytes() == reply_of(after).outputs[0].data.tobytes()
    rendered = plane.metrics.render().decode()
    refused = [line for line in rendered.splitlines() if "requests_total{" in line and 'outcome="ok"' not in line]
    assert [line.rsplit(" ", 1)[1] for line in refused] == ["1"]


async def test_inputs_may_come_in_any_order(tmp_path: Path) -> None:
    models.write_pair(tmp_path, "pair", 1)
    plane = await Plane(tmp_path).load_all()
    reply = await plane.ask("pair", tensor([[1, 1]], "b"), tensor([[5, 7]], "a"))
    assert {one.name: one.data.tolist() for one in reply.outputs} == {"sum": [[6, 8]], "difference": [[4, 6]]}


async def test_inputs_must_have_as_many_rows(tmp_path: Path) -> None:
    models.write_pair(tmp_path, "pair", 1)
    plane = await Plane(tmp_path).load_all()
    with pytest.raises(errors.InputError, match="'b' has 2 rows"):
        await plane.ask("pair", tensor([[1, 1]], "a"), tensor([[5, 7], [5, 7]], "b"))


async def test_a_network_that_gives_nan_is_an_error_and_counted(tmp_path: Path) -> None:
    models.write_not_finite(tmp_path, "log", 1)
    plane = await Plane(tmp_path).load_all()
    good, bad = InferRequest("log", (tensor([[1, 2, 3, 4]]),)), InferRequest("log", (tensor([[1, -2, 3, 4]]),))
    answers = await plane.answers([good, bad, good])
    assert "NaN" in str(error_of(answers[1]))
    assert isinstance(answers[1], errors.IntegrityError)
    assert reply_of(answers[0]).outputs[0].data.tolist() == reply_of(answers[2]).outputs[0].data.tolist()
    assert plane.instruments.not_finite.value(("log", "1")) == 1


async def test_a_model_that_is_not_loaded_yet_is_unavailable(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    plane.registry.expect(["digits"])
    with pytest.raises(errors.UnavailableError, match="no version ready"):
        await plane.ask("digits", tensor([[1, 2, 3, 4]]))


async def test_an_explicit_version_is_answered_by_it(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1, scale=1.0))
    await plane.registry.load("digits", 2, models.write_linear(tmp_path, "digits", 2, scale=2.0), keep=True)
    x = tensor([[1, 2, 3, 4]])
    first, second = await plane.ask("digits", x), await plane.ask("digits", x, version="2")
    assert (first.version, second.version) == ("1", "2")
    np.testing.assert_allclose(second.outputs[0].data, 2 * first.outputs[0].data, rtol=1e-6)


async def test_free_axes_of_different_length_are_not_mixed(tmp_path: Path) -> None:
    models.write_identity(tmp_path, "echo", 1, "FP32", (-1, 2))
    plane = await Plane(tmp_path).load_all()
    inputs = [np.full((1, length, 2), length, dtype=np.float32) for length in (1, 3, 1, 2, 3)]
    answers = await plane.answers([InferRequest("echo", (Tensor.of("x", one),)) for one in inputs])
    for answer, sent in zip(answers, inputs, strict=True):
        np.testing.assert_array_equal(reply_of(answer).outputs[0].data, sent)


async def test_a_form_is_checked_once_for_each_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.write_linear(tmp_path, "digits", 1)
    models.write_not_finite(tmp_path, "log", 1)
    plane = await Plane(tmp_path).load_all()
    checks = []
    check = tensors.check
    monkeypatch.setattr(tensors, "check", lambda *given: checks.append(check(*given)))
    form = object()
    for value in range(1, 6):
        row = tensor([[value, 0, 0, 0]])
        reply = reply_of((await plane.answers([InferRequest("digits", (row,), form=form)]))[0])
        np.testing.assert_allclose(reply.outputs[0].data, np.array([[value, 0, 0, 0]]) @ models.weights(1.0))
    await plane.answers([InferRequest("log", (tensor([[1, 1, 1, 1]]),), form=form)])
    assert len(checks) == 2


async def test_a_form_that_does_not_fit_is_refused_each_time(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path).load_all()
    form = object()
    for _ in range(3):
        (answer,) = await plane.answers([InferRequest("digits", (tensor([[1, 2]]),), form=form)])
        assert isinstance(error_of(answer), errors.InputError)


async def test_forms_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path).load_all()
    for _ in range(600):
        plane.submit([InferRequest("digits", (tensor([[1, 2, 3, 4]]),), form=object())])
    assert len(plane.registry.lookup("digits").admitted) <= 256


def test_int8_is_asked_for_exact_sums_on_every_cpu() -> None:
    """What overflows on a CPU without VNNI is right on the one that this test may run on."""
    session = runtime.Session(models.quantized(), "digits")
    assert session._session.get_session_options().get_session_config_entry("session.x64quantprecision") == "1"
