"""KServe's model server with a custom model of ONNX Runtime: gRPC, one worker, binary tensors both ways."""

import socket
import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

_PORT, _KIND, _MODEL = sys.argv[1:4]


class Onnx(Model):
    def __init__(self) -> None:
        super().__init__(_KIND)
        self.load()

    def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._run = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"]).run
        self.ready = True
        return self.ready

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        logits = self._run(["logits"], {"input": payload.inputs[0].as_numpy()})[0]
        output = InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=True)
        return InferResponse(payload.id or "", self.name, [output])


if __name__ == "__main__":
    with socket.socket() as probe:
        probe.bind(("", 0))
        http_port = probe.getsockname()[1]
    server = ModelServer(grpc_port=int(_PORT), http_port=http_port, workers=1, enable_docs_url=False)
    server.start([Onnx()])
