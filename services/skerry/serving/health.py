"""grpc.health.v1: `""` is live, the protocol's service is ready when the server is, a model's name when that model is.

Unknown names are NOT_FOUND on Check and SERVICE_UNKNOWN on Watch; everything but `""` is NOT_SERVING while draining.
"""

from google.protobuf.message import DecodeError

from skerry.core import errors
from skerry.proto import health_pb2 as pb
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status
from skerry.serving.registry import Registry

SERVICE = "grpc.health.v1.Health"
INFERENCE = "inference.GRPCInferenceService"

_Serving = pb.HealthCheckResponse


class Health:
    """`services`: names of further services that are ready whenever the process is (the agent's own)."""

    def __init__(self, registry: Registry, services: tuple[str, ...] = ()) -> None:
        self._registry = registry
        self._services = frozenset(services)

    def methods(self) -> Methods:
        return {
            f"/{SERVICE}/Check": Method(Kind.UNARY, self.check),
            f"/{SERVICE}/Watch": Method(Kind.SERVER_STREAM, self.watch),
        }

    async def check(self, call: Call, data: bytes) -> bytes:
        name = _name(data)
        status = self._status(name)
        if status == _Serving.SERVICE_UNKNOWN:
            raise CallError(Status.NOT_FOUND, f"service {name[:80]!r} is not known here")
        return pb.HealthCheckResponse(status=status).SerializeToString()

    async def watch(self, call: Call, data: bytes) -> None:
        """The status at once, then every change of it, until the caller hangs up or the server ends."""
        name, last_sent = _name(data), None
        while not call.done:
            status = self._status(name)
            if status != last_sent:
                last_sent = status
                await call.send(pb.HealthCheckResponse(status=status).SerializeToString())
            if self._registry.is_ending:
                raise CallError(Status.UNAVAILABLE, "the server is ending: watch it again")
            await self._registry.changed.wait()

    def _status(self, name: str) -> "pb.HealthCheckResponse.ServingStatus":
        if name == "":
            return _Serving.SERVING
        if name in self._services:
            return _Serving.NOT_SERVING if self._registry.is_draining else _Serving.SERVING
        if name == INFERENCE:
            return _Serving.SERVING if self._registry.is_ready else _Serving.NOT_SERVING
        try:
            return _Serving.SERVING if self._registry.is_model_ready(name) else _Serving.NOT_SERVING
        except errors.NotFoundError:
            return _Serving.SERVICE_UNKNOWN


def _name(data: bytes) -> str:
    try:
        return pb.HealthCheckRequest.FromString(data).service
    except DecodeError as exc:
        raise CallError(Status.INVALID_ARGUMENT, "this is not a HealthCheckRequest") from exc
