"""Large requests are read beside the loop, one at a time; what would become millions of objects is refused."""

import asyncio
import threading
from pathlib import Path

import models
import numpy as np
import pytest
from oip_calls import OIP, served
from plane import FakeCall

from skerry.adapters.oip import codec, request_templates
from skerry.core import errors, tensors
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc.methods import Status
from skerry.serving import large_requests
from skerry.serving.large_requests import LARGE_BYTES, LargeRequests, Read

INFER = OIP + "ModelInfer"


def request(rows: int, model: str = "digits") -> bytes:
    message = pb.ModelInferRequest(model_name=model)
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
    message.raw_input_contents.append(np.ones((rows, 4), np.float32).tobytes())
    return message.SerializeToString()


LARGE_ROWS = LARGE_BYTES // 16 + 1


async def test_a_small_request_does_not_wait_until_a_large_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path)
    begun, go_on, read = threading.Event(), threading.Event(), large_requests.read

    def slowly(decoder: request_templates.Decoder, data: bytes) -> Read:
        if len(data) > LARGE_BYTES:
            begun.set()
            go_on.wait()
        return read(decoder, data)

    monkeypatch.setattr(large_requests, "read", slowly)
    large, small = FakeCall(), FakeCall()
    methods[INFER].handler([(large, request(LARGE_ROWS)), (small, request(1))])  # type: ignore[arg-type,call-arg]
    begun.wait()
    await asyncio.wait_for(small.finished.wait(), 10)
    assert not large.done
    go_on.set()
    await asyncio.wait_for(large.finished.wait(), 10)
    assert large.answer is not None
    assert pb.ModelInferResponse.FromString(large.answer).outputs[0].shape == [LARGE_ROWS, 3]


async def test_a_large_request_that_is_none_is_told_so(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane, methods = await served(tmp_path)
    call = FakeCall()
    methods[INFER].handler([(call, b"\xff" * (LARGE_BYTES + 1))])  # type: ignore[arg-type,call-arg]
    await asyncio.wait_for(call.finished.wait(), 10)
    assert call.failure is not None and call.failure[0] is Status.INVALID_ARGUMENT
    assert plane.instruments.malformed.value() == 1


async def test_large_requests_that_wait_are_bounded_and_the_first_is_always_read() -> None:
    reader, found, all_there = LargeRequests(100), list[Read](), asyncio.Event()

    def done(read: Read) -> None:
        found.append(read)
        if len(found) == 3:
            all_there.set()

    for _ in range(3):
        reader.read(b"\xff" * 200, done)
    assert [type(read) for read in found] == [errors.OverloadedError] * 2
    await asyncio.wait_for(all_there.wait(), 10)
    assert isinstance(found[2], errors.InputError)


def test_texts_are_bounded_in_number() -> None:
    count = tensors.MAX_TEXTS + 1
    with pytest.raises(errors.TooLargeError, match=f"at most {tensors.MAX_TEXTS}"):
        tensors.from_raw("x", "BYTES", (count,), b"")


def test_typed_contents_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_TYPED", 3)
    message = pb.ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([1, 2, 3, 4])
    with pytest.raises(errors.TooLargeError, match="send raw contents"):
        codec.decode_request(message)
