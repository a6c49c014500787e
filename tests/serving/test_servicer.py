"""The calls of the protocol, below any transport: translation, statuses, and never a call without an answer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from oip_calls import OIP, infer, served, unary
from plane import FakeCall, Plane

from skerry.core import errors
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc import grpc_status
from skerry.rpc.methods import CallError, Status
from skerry.serving import server
from skerry.serving.predictor import Job


def infer_request(values: Any = ((1, 2, 3, 4),), **fields: Any) -> pb.ModelInferRequest:
    x = np.asarray(values, dtype=np.float32)
    message = pb.ModelInferRequest(**({"model_name": "digits"} | fields))
    message.inputs.add(name="x", datatype="FP32", shape=x.shape)
    message.raw_input_contents.append(x.tobytes())
    return message


async def test_inference_echoes_the_id_and_answers_raw_with_raw(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 4)
    _, methods = await served(tmp_path)
    (call,) = await infer(methods, infer_request(id="abc").SerializeToString())
    assert call.answer is not None
    reply = pb.ModelInferResponse.FromString(call.answer)
    assert (reply.model_name, reply.model_version, reply.id) == ("digits", "4", "abc")
    logits = np.frombuffer(reply.raw_output_contents[0], dtype=np.float32)
    np.testing.assert_allclose(logits, np.array([1, 2, 3, 4]) @ models.weights(1.0), rtol=1e-6)
    assert reply.parameters["skerry_digest"].string_param.startswith("sha256:")


async def test_typed_contents_are_answered_typed(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 4)
    _, methods = await served(tmp_path)
    message = pb.ModelInferRequest(model_name="digits")
    message.inputs.add(
        name="x", datatype="FP32", shape=[1, 4], contents=pb.InferTensorContents(fp32_contents=[1, 2, 3, 4])
    )
    (call,) = await infer(methods, message.SerializeToString())
    assert call.answer is not None
    reply = pb.ModelInferResponse.FromString(call.answer)
    assert not reply.raw_output_contents
    np.testing.assert_allclose(
        reply.outputs[0].contents.fp32_contents, np.array([1, 2, 3, 4]) @ models.weights(1.0), rtol=1e-6
    )


BAD: Sequence[tuple[str, bytes, Status]] = [
    ("no protobuf", b"\xff\xff", Status.INVALID_ARGUMENT),
    ("a text that is not UTF-8", b"\x0a\x02\xff\xfe", Status.INVALID_ARGUMENT),
    ("nothing", b"", Status.NOT_FOUND),
    ("an unknown model", infer_request(model_name="other").SerializeToString(), Status.NOT_FOUND),
    ("an unknown version", infer_request(model_version="9").SerializeToString(), Status.NOT_FOUND),
    ("a wrong shape", infer_request(((1, 2),)).SerializeToString(), Status.INVALID_ARGUMENT),
    ("NaN", infer_request(((1, 2, 3, float("nan")),)).SerializeToString(), Status.INVALID_ARGUMENT),
    ("a model name of 1 MiB", infer_request(model_name="x" * (1 << 20)).SerializeToString(), Status.RESOURCE_EXHAUSTED),
]


@pytest.mark.parametrize(("message", "status"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_message_has_its_status_and_harms_nobody(tmp_path: Path, message: bytes, status: Status) -> None:
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path)
    good = infer_request().SerializeToString()
    before, bad, after = await infer(methods, good, message, good)
    assert bad.failure is not None
    assert bad.failure[0] is status
    assert len(bad.failure[1]) <= grpc_status.MAX_MESSAGE_CHARS
    assert before.answer == after.answer is not None


@pytest.mark.parametrize(("parameter", "value"), [("classification", 3), ("shared_memory_region", "out")])
async def test_an_output_asked_for_in_a_form_that_is_not_offered_is_refused_and_not_sent_in_another(
    tmp_path: Path, parameter: str, value: int | str
) -> None:
    """Triton's clients ask for the best classes so (`InferRequestedOutput(…, class_count=3)`)."""
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path)
    message = infer_request()
    output = message.outputs.add(name="logits")
    if isinstance(value, int):
        output.parameters[parameter].int64_param = value
    else:
        output.parameters[parameter].string_param = value
    plain = infer_request()
    plain.outputs.add(name="logits")
    refused, answered = await infer(methods, message.SerializeToString(), plain.SerializeToString())
    assert refused.failure is not None
    assert refused.failure[0] is Status.INVALID_ARGUMENT
    assert f"output 'logits': parameter '{parameter}' is not supported" in refused.failure[1]
    assert answered.answer is not None


async def test_a_bug_in_the_predictor_leaves_no_call_without_an_answer(tmp_path: Path) -> None:
    class Buggy:
        def submit(self, jobs: Sequence[Job]) -> None:
            jobs[0].finish(errors.OverloadedError("the first is answered"))
            raise ZeroDivisionError("a secret")

    plane = Plane(tmp_path)
    methods = server.build_methods(Buggy(), plane.registry, plane.instruments)
    first, second = await infer(methods, infer_request().SerializeToString(), infer_request().SerializeToString())
    assert first.failure == (Status.RESOURCE_EXHAUSTED, "the first is answered")
    assert second.failure is not None
    assert second.failure[0] is Status.INTERNAL
    assert "secret" not in second.failure[1]


async def test_a_callers_deadline_and_trace_reach_the_predictor(tmp_path: Path) -> None:
    seen: list[Job] = []

    class Recording:
        def submit(self, jobs: Sequence[Job]) -> None:
            seen.extend(jobs)
            for job in jobs:
                job.finish(errors.UnavailableError("not today"))

    plane = Plane(tmp_path)
    methods = server.build_methods(Recording(), plane.registry, plane.instruments)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    call = FakeCall(deadline=12.5, metadata={"traceparent": trace, "tracestate": "a=b"})
    methods[OIP + "ModelInfer"].handler([(call, infer_request().SerializeToString())])  # type: ignore[call-arg,arg-type]
    context = seen[0].context
    assert (context.deadline, context.traceparent, context.tracestate) == (12.5, trace, "a=b")
    assert context.call is call
    assert call.failure == (Status.UNAVAILABLE, "not today")


async def test_a_stream_answers_in_order_and_survives_a_bad_request(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path)
    call = FakeCall()
    for message in (infer_request(id="1"), infer_request(((1, 2),), id="2"), infer_request(id="3")):
        call.incoming.put_nowait(message.SerializeToString())
    call.incoming.put_nowait(b"\xff")
    call.incoming.put_nowait(None)
    await asyncio.wait_for(methods[OIP + "ModelStreamInfer"].handler(call), 10)  # type: ignore[arg-type,call-arg]
    replies = [pb.ModelStreamInferResponse.FromString(call.sent.get_nowait()) for _ in range(4)]
    assert [one.infer_response.id for one in replies] == ["1", "2", "3", ""]
    assert [bool(one.error_message) for one in replies] == [False, True, False, True]
    assert "'x'" in replies[1].error_message


async def test_an_open_stream_is_ended_after_what_it_asked_is_answered(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane, methods = await served(tmp_path)
    call = FakeCall()
    call.incoming.put_nowait(infer_request(id="1").SerializeToString())
    streaming = asyncio.ensure_future(methods[OIP + "ModelStreamInfer"].handler(call))  # type: ignore[arg-type,call-arg]
    await asyncio.wait_for(call.sent.get(), 10)
    plane.registry.drain()
    call.incoming.put_nowait(infer_request(id="2").SerializeToString())
    await asyncio.wait_for(call.sent.get(), 10)  # whoever has not heard of it yet is still answered
    plane.registry.end_streams()
    with pytest.raises(CallError) as caught:
        await asyncio.wait_for(streaming, 10)
    assert caught.value.status is Status.UNAVAILABLE


async def test_metadata_and_readiness(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 7)
    _, methods = await served(tmp_path)
    live = await unary(methods, OIP + "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)
    ready = await unary(methods, OIP + "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)
    model = await unary(methods, OIP + "ModelReady", pb.ModelReadyRequest(name="digits"), pb.ModelReadyResponse)
    assert (live.live, ready.ready, model.ready) == (True, True, True)
    about = await unary(methods, OIP + "ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
    assert about.name == "skerry"
    assert "model_repository" in about.extensions
    made = await unary(methods, OIP + "ModelMetadata", pb.ModelMetadataRequest(name="digits"), pb.ModelMetadataResponse)
    assert (made.name, list(made.versions)) == ("digits", ["7"])
    assert (made.inputs[0].name, made.inputs[0].datatype, list(made.inputs[0].shape)) == ("x", "FP32", [-1, 4])
    assert list(made.outputs[0].shape) == [-1, 3]
    assert not made.properties, "MLServer's stubs have another type in this field"
    for path, request, reply in (
        ("ModelReady", pb.ModelReadyRequest(name="other"), pb.ModelReadyResponse),
        ("ModelMetadata", pb.ModelMetadataRequest(name="digits", version="8"), pb.ModelMetadataResponse),
    ):
        with pytest.raises(CallError) as caught:
            await unary(methods, OIP + path, request, reply)
        assert caught.value.status is Status.NOT_FOUND


async def test_the_repository_is_listed_loaded_and_unloaded(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 9)
    plane, methods = await served(tmp_path, root=True)
    models.write_linear(tmp_path, "digits", 10)
    models.write_linear(tmp_path, "digits", "011")

    async def index() -> list[tuple[str, str]]:
        found = await unary(methods, OIP + "RepositoryIndex", pb.RepositoryIndexRequest(), pb.RepositoryIndexResponse)
        return [(one.version, one.state) for one in found.models]

    assert await index() == [("9", "READY"), ("10", "UNAVAILABLE"), ("011", "UNAVAILABLE")]
    load = pb.RepositoryModelLoadRequest(model_name="digits")
    await unary(methods, OIP + "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse)
    assert plane.registry.lookup("digits").number == 10
    load.parameters["version"].int64_param = 9
    await unary(methods, OIP + "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse)
    assert (plane.registry.lookup("digits").number, plane.registry.lookup("digits", "9").number) == (10, 9)
    unload = pb.RepositoryModelUnloadRequest(model_name="digits")
    await unary(methods, OIP + "RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse)
    assert {state for _, state in await index()} == {"UNAVAILABLE"}


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"config": "x"}, Status.UNIMPLEMENTED),
        ({"version": "new"}, Status.INVALID_ARGUMENT),
        ({"version": "77"}, Status.NOT_FOUND),
    ],
)
async def test_a_load_that_cannot_be_is_told(tmp_path: Path, parameters: dict[str, str], status: Status) -> None:
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path, root=True)
    load = pb.RepositoryModelLoadRequest(model_name="digits")
    for name, value in parameters.items():
        load.parameters[name].string_param = value
    with pytest.raises(CallError) as caught:
        await unary(methods, OIP + "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse)
    assert caught.value.status is status


async def test_an_edge_node_lets_no_caller_choose_what_it_loads(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    _, methods = await served(tmp_path)
    with pytest.raises(CallError) as caught:
        await unary(
            methods,
            OIP + "RepositoryModelLoad",
            pb.RepositoryModelLoadRequest(model_name="digits"),
            pb.RepositoryModelLoadResponse,
        )
    assert caught.value.status is Status.FAILED_PRECONDITION


@pytest.mark.parametrize("method", ["ModelMetadata", "ModelReady", "RepositoryModelLoad", "RepositoryIndex"])
async def test_a_call_without_numbers_that_is_large_is_not_read(tmp_path: Path, method: str) -> None:
    """A map of empty parameters becomes twenty times as many bytes in memory."""
    _, methods = await served(tmp_path)
    with pytest.raises(CallError, match="at most 65536 are read") as caught:
        await methods[f"{OIP}{method}"].handler(FakeCall(), b"\x1a\x00" * (1 << 16))  # type: ignore[misc]
    assert caught.value.status is Status.RESOURCE_EXHAUSTED
