"""The plain OIP server as a process, as operators run it, and a client that knows only bytes and paths."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from skerry.proto import open_inference_pb2 as pb

OIP = "/inference.GRPCInferenceService/"
LIMIT_BYTES = 32 << 20
_SERVICES = Path(__file__).parent.parent / "services"


class Teacher:
    """`wait_ready` reads the ready line; `address` is known after it."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self._log = process, log
        self.ready: dict[str, Any] = {}

    def wait_ready(self) -> "Teacher":
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended without being ready: {self._log.read_text()}"
        self.ready = json.loads(line)
        return self

    @property
    def address(self) -> str:
        return str(self.ready["address"])

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.ready['http']}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def started(root: Path, transport: str, python: str = sys.executable, **environment: str) -> Iterator[Teacher]:
    """A server of the models below `root`, run by the interpreter `python`; ended when the block ends."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SKERRY_", "ORT_"))}
    env |= {
        "PYTHONPATH": str(_SERVICES),
        "SKERRY_MODELS": str(root),
        "SKERRY_LISTEN": "127.0.0.1:0",
        "SKERRY_HTTP": "127.0.0.1:0",
        "SKERRY_TRANSPORT": transport,
        **environment,
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as err:
            process = subprocess.Popen(
                [python, "-m", "skerry.teacher.main"], env=env, stdout=subprocess.PIPE, stderr=err, text=True
            )
        try:
            yield Teacher(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def channel(address: str) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as made:
        yield made


def call(made: grpc.Channel, method: str, data: bytes, timeout_s: float = 20.0, **options: Any) -> bytes:
    """One unary call of raw bytes; `method` is a full path, or a name of the inference service."""
    path = method if method.startswith("/") else OIP + method
    answer: bytes = made.unary_unary(path)(data, timeout=timeout_s, **options)
    return answer


def status_of(made: grpc.Channel, method: str, data: bytes) -> tuple[str, str]:
    """(status name, text) of a call that fails; ("OK", "") of one that does not."""
    try:
        call(made, method, data)
    except grpc.RpcError as exc:
        return exc.code().name, exc.details() or ""
    return "OK", ""


def infer(values: object, model: str = "digits", **fields: object) -> bytes:
    """A ModelInferRequest of float rows `x`."""
    x = np.asarray(values, dtype=np.float32)
    message = pb.ModelInferRequest(model_name=model, **fields)  # type: ignore[arg-type]
    message.inputs.add(name="x", datatype="FP32", shape=x.shape)
    message.raw_input_contents.append(x.tobytes())
    return message.SerializeToString()


def until(condition: object, bound_s: float = 30.0) -> None:
    end = time.monotonic() + bound_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
