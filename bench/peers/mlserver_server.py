"""MLServer with a custom runtime of ONNX Runtime: gRPC, in one process (`parallel_workers` 0).

Its adaptive batching is off: it takes about 15 % off a request at 16 connections and adds a quarter at one.
"""

import asyncio
import socket
import sys

import onnxruntime
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

_PORT, _KIND, _MODEL = sys.argv[1:4]


class Onnx(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._run = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"]).run
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        logits = self._run(["logits"], {"input": x})[0]
        return InferenceResponse(
            model_name=self.name, id=payload.id, outputs=[NumpyCodec.encode_output("logits", logits)]
        )


async def _main() -> None:
    with socket.socket() as http, socket.socket() as metrics:
        http.bind(("", 0))
        metrics.bind(("", 0))
        http_port, metrics_port = http.getsockname()[1], metrics.getsockname()[1]
    settings = Settings(
        host="127.0.0.1",
        grpc_port=int(_PORT),
        http_port=http_port,
        metrics_port=metrics_port,
        parallel_workers=0,
        debug=False,
        logging_settings=None,
    )
    await MLServer(settings).start([ModelSettings(name=_KIND, implementation=Onnx)])


if __name__ == "__main__":
    asyncio.run(_main())
