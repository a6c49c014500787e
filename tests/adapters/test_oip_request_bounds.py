"""What a request may cost before it is parsed: a caller's few megabytes never become gigabytes of objects."""

import contextlib
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters.oip import codec, request_bounds, request_templates, wire
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

LARGE = 1 << 20


def field(number: int, data: bytes) -> bytes:
    return wire.head(bytes([number << 3 | 2]), len(data)) + data


def one_input(rest: bytes) -> bytes:
    return field(5, field(1, b"x") + field(2, b"INT64") + rest)


BOMBS = {
    "empty inputs": b"\x2a\x00" * LARGE,
    "empty outputs": b"\x32\x00" * LARGE,
    "empty parameters": b"\x22\x00" * LARGE,
    "distinct parameters": b"".join(field(4, field(1, f"{at:06}".encode())) for at in range(LARGE >> 4)),
    "empty raw contents": b"\x3a\x00" * LARGE,
    "dimensions": one_input(field(3, b"\x01" * LARGE)),
    "parameters of an input": one_input(b"\x22\x00" * LARGE),
    "a long name of an input": field(5, field(1, b"x" * LARGE)),
    "a long model name": field(1, b"x" * LARGE),
    "a long id": field(3, b"x" * LARGE),
    "fields that nobody knows": b"\x7a\x00" * LARGE,
    "inputs behind raw contents": field(7, bytes(LARGE)) + b"\x2a\x00" * LARGE,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_what_would_become_millions_of_objects_is_never_parsed(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(data: bytes) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(request_templates.pb, "ModelInferRequest", type("Never", (), {"FromString": parsed}))
    with pytest.raises(
        errors.TooLargeError, match="names, shapes and parameters of a request have more than 65536 bytes"
    ):
        request_templates.Decoder().decode(bomb)


@pytest.mark.parametrize("kind", [3, 8], ids=["numbers of one byte", "empty texts"])
def test_typed_contents_are_bounded_and_raw_ones_offered(kind: int) -> None:
    elements = field(kind, b"\x01" * (17 << 20)) if kind == 3 else b"\x42\x00" * (9 << 20)
    with pytest.raises(errors.TooLargeError, match="send raw_input_contents"):
        request_templates.Decoder().decode(one_input(field(5, elements)))


def test_many_numbers_are_taken_as_raw_and_as_typed_contents() -> None:
    data = np.zeros((1, 1 << 20), np.float32)
    asked = codec.encode_request(InferRequest("digits", (Tensor.of("x", data),), id="r" * 1000))
    assert request_templates.Decoder().decode(asked.SerializeToString()).inputs[0].shape == (1, 1 << 20)
    typed = pb.ModelInferRequest(model_name="digits")
    typed.inputs.add(name="x", datatype="FP32", shape=data.shape).contents.fp32_contents.extend(data[0].tolist())
    assert request_templates.Decoder().decode(typed.SerializeToString()).inputs[0].shape == (1, 1 << 20)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_whatever_the_bytes_are_they_are_refused_or_left_to_protobuf(noise: bytes, at: int) -> None:
    asked = codec.encode_request(InferRequest("digits", (Tensor.of("x", np.zeros((1, 40_000), np.uint8)),), id="r"))
    data = asked.SerializeToString() * 2
    spoiled = data[:at] + noise + data[at:]
    try:
        request_bounds.check(spoiled)
    except errors.InputError:
        return
    with contextlib.suppress(DecodeError):
        pb.ModelInferRequest.FromString(spoiled)
