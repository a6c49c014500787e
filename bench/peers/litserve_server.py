"""LitServe with ONNX Runtime, one worker; the row travels as base64 in JSON.

Its batching and its queue over ZeroMQ are off: on one core both cost more than they save (1,200 µs a request at 16
connections, against 1,560 and 1,270).
"""

import base64
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime

_PORT, _KIND, _MODEL = sys.argv[1:4]
_FORMS = {"cnn": (np.float32, (1, 28, 28)), "rnn": (np.int64, (64,))}


class Api(litserve.LitAPI):  # type: ignore[misc]  # of a package that is not installed where types are checked
    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._run = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"]).run

    def decode_request(self, request: dict[str, str]) -> Any:
        dtype, shape = _FORMS[_KIND]
        return np.frombuffer(base64.b64decode(request["x"]), dtype).reshape(shape)

    def predict(self, x: Any) -> Any:
        return self._run(["logits"], {"input": x[None]})[0][0]

    def encode_response(self, output: Any) -> list[float]:
        return list(output.tolist())


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1, fast_queue=False)
    server.run(
        host="127.0.0.1",
        port=int(_PORT),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
