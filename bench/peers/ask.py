"""A grpcio client that asks one after the other: PORT CERTIFICATE (or -) BODY… Each line of input is a number of
requests, and is answered by a line of JSON: the median latency, and the first reply in hexadecimal digits.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import grpc

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def _wait(ask: Any, body: bytes) -> None:
    """Until the model is loaded."""
    for _ in range(600):
        try:
            ask(body, timeout=60, wait_for_ready=True)
        except grpc.RpcError as exc:
            if exc.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(0.1)
        else:
            return


def _main() -> None:
    port, certificate, *files = sys.argv[1:]
    bodies = [Path(file).read_bytes() for file in files]
    if certificate == "-":
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS)
    else:
        trusted = grpc.ssl_channel_credentials(Path(certificate).read_bytes())
        channel = grpc.secure_channel(f"127.0.0.1:{port}", trusted, _OPTIONS)
    ask = channel.unary_unary(_METHOD)
    _wait(ask, bodies[0])
    for line in sys.stdin:
        took, first = [], b""
        for at in range(int(line)):
            began = time.perf_counter()
            reply = ask(bodies[at % len(bodies)], timeout=60, wait_for_ready=True)
            took.append(time.perf_counter() - began)
            first = first or reply
        print(json.dumps({"p50_us": statistics.median(took) * 1e6, "first": first.hex()}), flush=True)


if __name__ == "__main__":
    _main()
