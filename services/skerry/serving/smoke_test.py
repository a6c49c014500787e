"""Ask a server of the Open Inference Protocol for one real answer, and say what came: what `helm test` runs.

`python -m skerry.serving.smoke_test host:port` waits until the server answers, takes a model that it has ready, and
sends one row of zeros of the shape and type that the model asks for. Ends with 0 and one line for people, or with 1 and
the reason. A server without a model yet is healthy: that ends with 0 too, unless `--require-model`.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence

import grpc

from skerry.adapters import proxies
from skerry.core import errors, tensors
from skerry.proto import open_inference_pb2 as pb

_SERVICE = "/inference.GRPCInferenceService/"
_CALL_S = 10.0
_PAUSE_S = 0.5
_READY = "READY"
# An element of BYTES is its length in four bytes and then itself: an empty one is four zeros.
_ELEMENT_BYTES = {**tensors.WIRE_BYTES, "BYTES": 4}


class Server:
    """One plain link to `address`. Every call is bounded in time and raises UnavailableError with the server's text."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(
            address, [("grpc.max_reconnect_backoff_ms", 1000), *proxies.grpc_options(address)]
        )

    def models(self) -> Sequence[pb.RepositoryIndexResponse.ModelIndex]:
        """Every version that the server knows, with its state."""
        data = self._call("RepositoryIndex", pb.RepositoryIndexRequest().SerializeToString())
        return list(pb.RepositoryIndexResponse.FromString(data).models)

    def metadata(self, model: str) -> pb.ModelMetadataResponse:
        data = self._call("ModelMetadata", pb.ModelMetadataRequest(name=model).SerializeToString())
        return pb.ModelMetadataResponse.FromString(data)

    def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        return pb.ModelInferResponse.FromString(self._call("ModelInfer", request.SerializeToString()))

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: str, data: bytes) -> bytes:
        try:
            answer: bytes = self._channel.unary_unary(_SERVICE + method)(data, timeout=_CALL_S)
        except grpc.RpcError as exc:
            said = f"{exc.code().name}: {exc.details()}"
            raise errors.UnavailableError(f"{self.address} answered {method} with {said}") from exc
        return answer


def request_of(metadata: pb.ModelMetadataResponse) -> pb.ModelInferRequest:
    """One row of zeros (of empty texts) for every input; free dimensions are 1. Raises InputError for a type that the
    protocol does not know."""
    request = pb.ModelInferRequest(model_name=metadata.name)
    for tensor in metadata.inputs:
        if tensor.datatype not in _ELEMENT_BYTES:
            raise errors.InputError(
                f"input {tensor.name!r} of {metadata.name} has the unknown type {tensor.datatype!r}"
            )
        shape = [max(1, size) for size in tensor.shape]
        count = math.prod(shape)
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.raw_input_contents.append(bytes(count * _ELEMENT_BYTES[tensor.datatype]))
    return request


def wait(server: Server, until_s: float, *, require_model: bool) -> str:
    """Name of a model that is ready; empty when the server was given none and none is required. Raises
    UnavailableError when `until_s` (monotonic) has passed."""
    while True:
        try:
            models = server.models()
            ready = [model.name for model in models if model.state == _READY]
            if ready or (not models and not require_model):
                return min(ready, default="")
            states = ", ".join(f"{model.name}: {model.state} {model.reason}".rstrip() for model in models)
            problem = f"{server.address} has no model ready ({states or 'it was given none'})"
        except errors.UnavailableError as exc:
            problem = str(exc)
        if time.monotonic() >= until_s:
            raise errors.UnavailableError(f"not ready in time: {problem}")
        time.sleep(_PAUSE_S)


def tried(server: Server, model: str) -> str:
    """What one answer of `model` was, for people. Raises UnavailableError, also for an answer without outputs."""
    request = request_of(server.metadata(model))
    began_s = time.monotonic()
    reply = server.infer(request)
    took_ms = (time.monotonic() - began_s) * 1e3
    if not reply.outputs:
        raise errors.UnavailableError(f"{server.address} answered for {model} without any output")
    outputs = ", ".join(f"{output.name} {list(output.shape)}" for output in reply.outputs)
    return f"{model} version {reply.model_version} answered one request in {took_ms:.1f} ms: {outputs}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m skerry.serving.smoke_test", description=__doc__)
    parser.add_argument("address", help="host:port of the gRPC listener")
    parser.add_argument("--timeout-seconds", type=float, default=60.0, help="how long to wait for readiness")
    parser.add_argument("--require-model", action="store_true", help="a server without a model is a failure")
    given = parser.parse_args(arguments)
    server = Server(given.address)
    try:
        model = wait(server, time.monotonic() + given.timeout_seconds, require_model=given.require_model)
        line = tried(server, model) if model else "no model was given to it yet: nothing to ask for"
    except errors.SkerryError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    finally:
        server.close()
    sys.stdout.write(f"{given.address} answers; {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
