"""Remembering forms of replies changes nothing but the time: what is written is what the codec says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.adapters.oip import codec, reply_templates
from skerry.core import errors, feedback
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

DTYPES: dict[str, Any] = {"FP32": np.float32, "UINT8": np.uint8, "INT64": np.int64, "FP16": np.float16}
DTYPES["BF16"] = np.float32  # as it is held in memory

texts = st.sampled_from(["", "a", "digits", "ü", "x" * 200])
numbers = st.one_of(st.sampled_from([0, 1, -1, 2**63 - 1]), st.sampled_from([0.0, -0.0, float("nan"), 1.5]))
parameters = st.dictionaries(
    st.sampled_from(
        ["skerry_route", "skerry_digest", "skerry_local_class", "skerry_degraded", "p", feedback.PARAMETER]
    ),
    st.one_of(st.booleans(), numbers, texts),
)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[Tensor, ...]:
    made = []
    for at in range(draw(st.integers(1, 2))):
        datatype = draw(st.sampled_from([*DTYPES, "BYTES"]))
        rows = draw(st.sampled_from([1, 2, 50]))
        if datatype == "BYTES":
            data: Any = np.array([[b"a" * draw(st.integers(0, 3))] for _ in range(rows)], dtype=object)
        else:
            data = np.full((rows, 3), draw(st.integers(0, 9)), DTYPES[datatype])
        made.append(Tensor(f"y{at}", datatype, data.shape, data))
    return tuple(made)


FORMS: dict[object, object] = {}


def _formed(reply: InferReply) -> InferReply:
    """With the form that belongs to its model, version, digest and outputs, as whoever answers gives it."""
    shapes = tuple((one.name, one.datatype, one.shape) for one in reply.outputs)
    reply.form = FORMS.setdefault((reply.model, reply.version, reply.digest, shapes), object())
    return reply


answers = st.builds(
    InferReply, st.sampled_from(["m", "n"]), st.sampled_from(["", "3"]), outputs(), st.just(""), parameters, texts
).map(_formed)
requests = st.builds(
    InferRequest,
    st.just("m"),
    st.just(()),
    st.just(""),
    st.sampled_from(["", "a", "id-7", "x" * 127, "x" * 128, "ü" * 300]),
    st.sampled_from([(), ("y0",), ("absent",)]),
    st.just({}),
    st.booleans(),
)


def _outcome(encode: Any, reply: InferReply, request: InferRequest) -> Any:
    try:
        made = encode(reply, request)
    except errors.InputError as exc:
        return str(exc)
    message = pb.ModelInferResponse.FromString(made) if isinstance(made, bytes) else made
    return message.SerializeToString(deterministic=True)


@given(st.lists(st.tuples(answers, requests), max_size=20))
@settings(max_examples=3 * settings.default.max_examples, deadline=None)
def test_a_remembering_encoder_encodes_as_the_codec_does(sent: list[tuple[InferReply, InferRequest]]) -> None:
    encoder = reply_templates.Encoder()
    for reply, request in sent:
        expected = _outcome(codec.encode_reply, reply, request)
        assert _outcome(encoder.encode, reply, request) == expected
        assert _outcome(encoder.encode, reply, request) == expected  # the second time from memory


def _reply(value: float, version: str = "1", **parameters: Any) -> InferReply:
    data = np.full((1, 3), value, np.float32)
    made = (Tensor("y", "FP32", data.shape, data),)
    return _formed(InferReply("m", version, made, parameters=parameters, digest="sha256:ab"))


def test_a_repeated_form_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = reply_templates.Encoder()
    encoder.encode(_reply(1.0), InferRequest("m", (), id="a"))

    def built(*given: object) -> Any:
        raise AssertionError("it was built again")

    monkeypatch.setattr(codec, "encode_reply", built)
    again = pb.ModelInferResponse.FromString(encoder.encode(_reply(2.0), InferRequest("m", (), id="b")))
    assert again.id == "b"
    assert np.frombuffer(again.raw_output_contents[0], np.float32).tolist() == [2.0, 2.0, 2.0]


def test_what_is_remembered_is_bounded() -> None:
    encoder = reply_templates.Encoder()
    for at in range(3000):
        reply = _reply(1.0, str(at), skerry_confidence=f"{at:06}")
        encoder.encode(reply, InferRequest("m", ()))
        encoder.encode(reply, InferRequest("m", ()))
    assert len(encoder._forms) <= 256
    assert len(encoder._texts) <= 1024


def test_a_token_is_written_and_not_remembered() -> None:
    encoder = reply_templates.Encoder()
    for token in ("one", "x" * 200):
        data = encoder.encode(_reply(1.0, **{feedback.PARAMETER: token}), InferRequest("m", ()))
        assert pb.ModelInferResponse.FromString(data).parameters[feedback.PARAMETER].string_param == token
    assert not encoder._texts
