"""What a server tells of itself by gRPC's own services: health by name, each change of it, and reflection."""

import asyncio
from pathlib import Path

import models
import pytest
from oip_calls import served, unary
from plane import FakeCall, Plane

from skerry.proto import health_pb2, reflection_pb2
from skerry.rpc.methods import CallError, Status
from skerry.serving import server

HEALTH = "/grpc.health.v1.Health/"


async def test_health_by_name(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane, methods = await served(tmp_path)

    async def check(name: str) -> int:
        request = health_pb2.HealthCheckRequest(service=name)
        found = await unary(methods, HEALTH + "Check", request, health_pb2.HealthCheckResponse)
        return int(found.status)

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert [await check(name) for name in ("", "inference.GRPCInferenceService", "digits")] == [serving] * 3
    with pytest.raises(CallError) as caught:
        await check("other")
    assert caught.value.status is Status.NOT_FOUND
    plane.registry.drain()
    assert [await check(name) for name in ("", "inference.GRPCInferenceService", "digits")] == [
        serving,
        not_serving,
        not_serving,
    ]


async def test_watching_health_tells_each_change_once(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    methods = server.build_methods(plane.data, plane.registry, plane.instruments)
    call = FakeCall()
    request = health_pb2.HealthCheckRequest(service="digits").SerializeToString()
    watching = asyncio.ensure_future(methods[HEALTH + "Watch"].handler(call, request))  # type: ignore[arg-type,call-arg]

    async def told() -> int:
        data = await asyncio.wait_for(call.sent.get(), 10)
        return int(health_pb2.HealthCheckResponse.FromString(data).status)

    states = health_pb2.HealthCheckResponse
    assert await told() == states.SERVICE_UNKNOWN
    plane.registry.expect(["digits"])
    assert await told() == states.NOT_SERVING
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    assert await told() == states.SERVING
    plane.registry.drain()
    assert await told() == states.NOT_SERVING
    plane.registry.end_streams()
    with pytest.raises(CallError) as caught:
        await watching
    assert caught.value.status is Status.UNAVAILABLE
    assert call.sent.empty()


@pytest.mark.parametrize("package", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
async def test_reflection_lists_services_and_finds_files(tmp_path: Path, package: str) -> None:
    plane = Plane(tmp_path)
    methods = server.build_methods(plane.data, plane.registry, plane.instruments)
    call = FakeCall()
    asked = [
        {"list_services": ""},
        {"file_containing_symbol": "inference.GRPCInferenceService.ModelInfer"},
        {"file_containing_symbol": f"{package}.ServerReflectionRequest"},
        {"file_containing_symbol": "no.such.Symbol"},
        {"file_by_filename": "skerry/proto/open_inference.proto"},
        {},
    ]
    for one in asked:
        call.incoming.put_nowait(reflection_pb2.ServerReflectionRequest(**one).SerializeToString())
    call.incoming.put_nowait(None)
    await methods[f"/{package}.ServerReflection/ServerReflectionInfo"].handler(call)  # type: ignore[arg-type,call-arg,misc]
    found = [reflection_pb2.ServerReflectionResponse.FromString(call.sent.get_nowait()) for _ in asked]
    assert [one.name for one in found[0].list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]
    assert found[1].file_descriptor_response == found[4].file_descriptor_response
    assert found[2].file_descriptor_response.file_descriptor_proto
    assert found[3].error_response.error_code == Status.NOT_FOUND
    assert found[5].error_response.error_code == Status.INVALID_ARGUMENT
