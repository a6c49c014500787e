"""What a plain gRPC servicer in Python does: parse, one run of ONNX Runtime, a reply. Shared by grpc.aio and grpcio."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime

from skerry.proto import open_inference_pb2 as pb

OPTIONS = [("grpc.max_receive_message_length", 32 << 20)]  # as ours; theirs is 4 MiB
SERVICE = "inference.GRPCInferenceService"
_DTYPES = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8}


@dataclass(frozen=True, slots=True)
class Arguments:
    port: int
    kind: str
    model: str
    certificate: str
    key: str

    def bind(self, server: Any) -> None:
        address = f"127.0.0.1:{self.port}"
        if self.certificate:
            pair = (Path(self.key).read_bytes(), Path(self.certificate).read_bytes())
            server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        else:
            server.add_insecure_port(address)


def arguments() -> Arguments:
    port, kind, model, certificate, key = (*sys.argv[1:], "", "")[:5]
    return Arguments(int(port), kind, model, certificate, key)


def session(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answerer(model: str) -> Callable[[Any], Any]:
    run = session(model).run

    def answer(request: Any) -> Any:
        sent = request.inputs[0]
        x = np.frombuffer(request.raw_input_contents[0], _DTYPES[sent.datatype]).reshape(tuple(sent.shape))
        logits = run(["logits"], {"input": x})[0]
        reply = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        reply.outputs.add(name="logits", datatype="FP32", shape=logits.shape)
        reply.raw_output_contents.append(logits.tobytes())
        return reply

    return answer


def handlers(given: Arguments, wrap: Callable[[Callable[[Any], Any]], Any]) -> Any:
    """The table of one method; `wrap` makes a handler of either kind from a function."""
    if given.kind == "echo":
        method = grpc.unary_unary_rpc_method_handler(wrap(lambda request: request))
    else:
        method = grpc.unary_unary_rpc_method_handler(
            wrap(answerer(given.model)), pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
        )
    return grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": method})
