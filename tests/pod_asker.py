"""Runs in a pod of the cluster under test, never imported by a test: asks one address all the time, keeps the books.

    python pod_asker.py infer HOST:PORT MODEL RATE     a camera: one gRPC client, images of /asker/images.npz
    python pod_asker.py get URL RATE                   a new TLS connection each time; any HTTP status is an answer

Every request becomes one line of /tmp/answers.jsonl, whatever came of it: {"at": unix seconds, "s": how long,
"error": "", …}. What a camera shows is in /tmp/scene: the name of an array of images.npz (clean, drift).
"""

import contextlib
import json
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ANSWERS, SCENE, IMAGES = Path("/tmp/answers.jsonl"), Path("/tmp/scene"), Path("/asker/images.npz")
DEADLINE_S = 2.0
# A knock is lost when it is refused, cut off or never answered. A machine that starts seven pods on two cores answers
# it late, and that is no loss: how long each took stands in the books.
KNOCK_S = 15.0
INFER = "/inference.GRPCInferenceService/ModelInfer"


class Camera:
    """Shows images in turn. `error` of an answer is empty unless none came."""

    def __init__(self, address: str, model: str) -> None:
        import grpc
        import numpy as np

        from skerry.proto import open_inference_pb2

        self._grpc, self._pb, self._model = grpc, open_inference_pb2, model
        options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 500)]
        self._call = grpc.insecure_channel(address, options=options).unary_unary(
            INFER,
            request_serializer=open_inference_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=open_inference_pb2.ModelInferResponse.FromString,
        )
        with np.load(IMAGES) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self._born = time.time_ns()

    def ask(self, number: int) -> dict[str, Any]:
        scene = SCENE.read_text().strip() if SCENE.exists() else "clean"
        images = self._arrays[scene]
        image = images[number % len(images)]
        request = self._pb.ModelInferRequest(model_name=self._model, id=f"{self._born:x}-{number}")
        request.inputs.add(name="image", datatype="UINT8", shape=[1, *image.shape])
        request.raw_input_contents.append(image.tobytes())
        try:
            reply = self._call(request, timeout=DEADLINE_S)
        except self._grpc.RpcError as exc:
            return {"scene": scene, "error": f"{exc.code().name}: {exc.details()}"}
        said = reply.parameters
        return {
            "scene": scene,
            "route": said["skerry_route"].string_param,
            "degraded": said["skerry_degraded"].bool_param,
            "digest": said["skerry_local_digest"].string_param,
            "error": "",
        }


def getter(url: str) -> Callable[[int], dict[str, Any]]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whether somebody answers is all that is asked
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def ask(_: int) -> dict[str, Any]:
        try:
            with opener.open(url, timeout=KNOCK_S) as reply:
                return {"status": reply.status, "error": ""}
        except urllib.error.HTTPError as exc:
            return {"status": exc.code, "error": ""}
        except OSError as exc:
            return {"error": f"{type(exc).__name__}: {exc}"}

    return ask


def run(ask: Callable[[int], dict[str, Any]], rate: float) -> None:
    """Until SIGTERM: `rate` requests a second, also when answers are slow; then wait for what was sent."""
    over, lock = threading.Event(), threading.Lock()
    signal.signal(signal.SIGTERM, lambda *_: over.set())

    def one(number: int, books: Any) -> None:
        at, began = time.time(), time.monotonic()
        answer = ask(number)
        line = json.dumps({"at": round(at, 3), "s": round(time.monotonic() - began, 4), **answer})
        with lock:
            books.write(line + "\n")

    with ANSWERS.open("a", buffering=1) as books, ThreadPoolExecutor(max(8, int(rate * DEADLINE_S))) as pool:
        began, sent = time.monotonic(), 0
        while not over.wait(1 / rate):
            due = int((time.monotonic() - began) * rate)
            for number in range(sent, due):
                pool.submit(one, number, books)
            sent = due


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        kind, *rest = sys.argv[1:]
        if kind == "infer":
            run(Camera(rest[0], rest[1]).ask, float(rest[2]))
        else:
            run(getter(rest[0]), float(rest[1]))
