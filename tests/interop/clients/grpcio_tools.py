"""grpcio's reflection client and health client, with their own generated messages. Argument: address."""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    names = list(database.get_services())
    assert "inference.GRPCInferenceService" in names, names
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("inference.GRPCInferenceService")
    method = service.FindMethodByName("ServerMetadata")
    request = message_factory.GetMessageClass(method.input_type)()
    answer = message_factory.GetMessageClass(method.output_type)
    call = channel.unary_unary(
        f"/{service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    assert call(request, timeout=10).name == "skerry"
    for name in names:
        assert pool.FindServiceByName(name).full_name == name

    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ("", "inference.GRPCInferenceService", "digits"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == serving
        assert next(health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=10)).status == serving
    try:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=10)
        raise SystemExit("an unknown service has a health")
    except grpc.RpcError as exc:
        assert exc.code() is grpc.StatusCode.NOT_FOUND, exc
    watched = next(health.Watch(health_pb2.HealthCheckRequest(service="nothing"), timeout=10))
    assert watched.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
sys.stdout.write("{}\n")
