"""Remembering forms of requests changes nothing but the time: what is decoded is what the codec decodes."""

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.adapters.oip import codec, request_templates
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.proto import open_inference_pb2 as pb

DTYPES = {"FP32": np.float32, "UINT8": np.uint8, "INT64": np.int64, "FP16": np.float16, "BOOL": np.bool_}


def message(
    *, model: str = "digits", version: str = "", id_: str = "", datatype: str = "FP32", rows: int = 1, seed: int = 0
) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name=model, model_version=version, id=id_)
    data = np.random.default_rng(seed).integers(0, 2, (rows, 4)).astype(DTYPES[datatype])
    made.inputs.add(name="x", datatype=datatype, shape=data.shape)
    made.raw_input_contents.append(data.tobytes())
    return made


def _facts(request: InferRequest) -> Any:
    tensors = [(one.name, one.datatype, one.shape, one.data.tobytes(), one.data.dtype) for one in request.inputs]
    return tensors, request.model, request.version, request.id, request.outputs, dict(request.parameters), request.raw


def _outcome(decode: Any, data: bytes) -> Any:
    try:
        return _facts(decode(data))
    except (errors.InputError, DecodeError) as exc:
        return type(exc), str(exc)


def _plain(data: bytes) -> InferRequest:
    return codec.decode_request(pb.ModelInferRequest.FromString(data))


messages = st.builds(
    message,
    model=st.sampled_from(["digits", "digitz", "m"]),
    version=st.sampled_from(["", "1"]),
    id_=st.sampled_from(["", "a", "b", "id-1", "id-2", "ü", "x" * 127, "x" * 128, "x" * 2000]),
    datatype=st.sampled_from(list(DTYPES)),
    rows=st.sampled_from([1, 2]),
    seed=st.integers(0, 3),
).map(lambda made: made.SerializeToString())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(messages))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, min(len(data), 60) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(st.lists(damaged(), max_size=30))
@settings(max_examples=3 * settings.default.max_examples, deadline=None)
def test_a_remembering_decoder_decodes_as_the_codec_does(sent: list[bytes]) -> None:
    decoder = request_templates.Decoder()
    for data in sent:
        assert _outcome(decoder.decode, data) == _outcome(_plain, data)


def test_a_repeated_form_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = request_templates.Decoder()
    decoder.decode(message(id_="r-1", seed=1).SerializeToString())

    def parsed(found: object) -> InferRequest:
        raise AssertionError("it was parsed again")

    monkeypatch.setattr(codec, "decode_request", parsed)
    for id_ in ("r-1", "r-2", "r-9"):
        again = message(id_=id_, seed=2)
        request = decoder.decode(again.SerializeToString())
        assert request.id == id_
        assert request.inputs[0].data.tobytes() == again.raw_input_contents[0]
    with pytest.raises(AssertionError):
        decoder.decode(message(id_="r-10").SerializeToString())


def test_an_id_that_is_no_text_is_refused_although_its_form_is_known() -> None:
    decoder = request_templates.Decoder()
    data = message(id_="ab").SerializeToString()
    decoder.decode(data)
    with pytest.raises(DecodeError):
        decoder.decode(data.replace(b"ab", b"\xff\xfe"))


def test_what_is_remembered_is_bounded_and_holds_no_numbers() -> None:
    decoder = request_templates.Decoder()
    for at in range(1000):
        decoder.decode(message(id_=f"{at:05}", version=str(at), rows=1 + at % 100).SerializeToString())
    kept = [template for templates in decoder._known.values() for template in templates]
    assert len(kept) <= 256
    assert all(template.request.inputs[0].data.size == 0 for template in kept)


@pytest.mark.parametrize("datatype", ["FP32", "UINT8", "INT64", "FP16"])
def test_the_numbers_of_a_view_stay_where_they_are(datatype: str) -> None:
    decoder = request_templates.Decoder()
    sent = message(datatype=datatype, rows=700).SerializeToString()
    decoder.decode(sent)
    for shift in range(8):
        memory = np.zeros(len(sent) + 64, np.uint8)
        start = -(memory.ctypes.data + len(sent)) % 64 + shift  # from 0 on: its end is at an aligned address
        memory[start : start + len(sent)] = np.frombuffer(sent, np.uint8)
        request = decoder.recall(memoryview(memory)[start : start + len(sent)].toreadonly())
        assert request is not None and _facts(request) == _facts(_plain(sent))
        numbers = request.inputs[0].data
        assert numbers.flags.aligned and not numbers.flags.writeable
        assert np.shares_memory(numbers, memory) == (shift % numbers.itemsize == 0)


def test_a_view_of_an_unknown_form_is_decoded_as_bytes_are() -> None:
    decoder = request_templates.Decoder()
    sent = message(rows=3).SerializeToString()
    assert decoder.recall(memoryview(sent)) is None
    assert _facts(decoder.decode(memoryview(sent))) == _facts(_plain(sent))
