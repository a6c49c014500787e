"""The gRPC door of the agents, as a site's own program uses it: ask for a forecast, tell the truth when it is known.

An agent answers a truth when it is on its disk, a few times a second; nobody waits for that before he asks again. An
agent that takes no more for now (so many truths a second of one caller) is told again later.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from skerry.adapters import proxies
from skerry.core import errors, feedback, series_stamp
from skerry.proto import edge_pb2, open_inference_pb2

DEADLINE_S, LATER_S, PATIENCE = 10.0, 0.5, 240  # so often is a truth told again
MAX_UNDERWAY = 100  # truths that no agent has answered yet
_INFER, _FEEDBACK = "/inference.GRPCInferenceService/ModelInfer", "/skerry.edge.v1.Edge/Feedback"


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply: the row's index in its span, who answered and with what; `value`, `low` and `high` have one number per
    step. `token` is empty where the answer was not kept."""

    index: int
    request_id: str
    node: str
    digest: str
    confidence: float
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    token: str


class Agents:
    """Asks the nodes in turn, each for every n-th moment of `series`. Use as a context manager."""

    def __init__(self, model: str, series: str, addresses: Mapping[str, str]) -> None:
        self.series, self._model, self._nodes = series, model, list(addresses)
        self._channels = {
            node: grpc.insecure_channel(address, proxies.grpc_options(address)) for node, address in addresses.items()
        }
        infer = open_inference_pb2.ModelInferRequest, open_inference_pb2.ModelInferResponse
        self._infer = {node: _call(channel, _INFER, *infer) for node, channel in self._channels.items()}
        told = edge_pb2.FeedbackRequest, edge_pb2.FeedbackReply
        self._feedback = {node: _call(channel, _FEEDBACK, *told) for node, channel in self._channels.items()}
        self._underway: deque[tuple[str, edge_pb2.FeedbackRequest, Any]] = deque()
        self.told: Counter[tuple[str, str]] = Counter()  # (node, outcome) of the truths that were answered

    def ask(
        self,
        index: int,
        request_id: str,
        window: NDArray[np.float32],
        unix_ms: int,
        sequence: Mapping[str, bool] | None = None,
    ) -> Answer:
        """The forecast for the window [steps, features] that ends at `unix_ms`, or for that piece of the series as a
        `sequence` (its flags). Raises UnavailableError."""
        node = self._nodes[index % len(self._nodes)]
        request = open_inference_pb2.ModelInferRequest(model_name=self._model, id=request_id)
        request.inputs.add(name="window", datatype="FP32", shape=[1, *window.shape])
        request.raw_input_contents.append(np.ascontiguousarray(window, dtype="<f4").tobytes())
        request.parameters[series_stamp.SERIES].string_param = self.series
        request.parameters[series_stamp.TIME].int64_param = unix_ms
        if sequence is not None:
            request.parameters["sequence_id"].string_param = self.series
            for flag, is_set in sequence.items():
                request.parameters[flag].bool_param = is_set
        said = self.infer(node, request).parameters
        value, low, high = (_numbers(said[f"skerry_{name}"].string_param) for name in ("value", "low", "high"))
        return Answer(
            index,
            request_id,
            node,
            said["skerry_local_digest"].string_param,
            float(said["skerry_confidence"].string_param),
            value,
            low,
            high,
            said[feedback.PARAMETER].string_param,
        )

    def infer(self, node: str, request: Any) -> Any:
        """A ModelInferResponse. Raises UnavailableError."""
        try:
            return self._infer[node](request, timeout=DEADLINE_S)
        except grpc.RpcError as exc:
            raise _unavailable(node, exc) from exc

    def tell(self, answer: Answer, truth: Sequence[float]) -> None:
        """Send the truth of an answer to the node that gave it. Raises UnavailableError, also of an earlier one."""
        request = edge_pb2.FeedbackRequest(model=self._model, request_id=answer.request_id, token=answer.token)
        request.values.extend(truth)
        self.send(answer.node, request)

    def send(self, node: str, request: edge_pb2.FeedbackRequest) -> None:
        """A truth; without a token its answer was not kept, and it is only counted. Raises as `tell`."""
        if not request.token:
            self.told[node, "NOT_KEPT"] += 1
            return
        self._underway.append((node, request, self._send(node, request)))
        while len(self._underway) > MAX_UNDERWAY:
            self._settle()

    def settle(self) -> None:
        """Wait until every truth is answered. Raises UnavailableError."""
        while self._underway:
            self._settle()

    def _send(self, node: str, request: edge_pb2.FeedbackRequest) -> Any:
        return self._feedback[node].future(request, timeout=DEADLINE_S)

    def _settle(self) -> None:
        node, request, sent = self._underway.popleft()
        for _ in range(PATIENCE):
            try:
                outcome = sent.result().outcome
            except grpc.RpcError as exc:
                if exc.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise _unavailable(node, exc) from exc
                time.sleep(LATER_S)
                sent = self._send(node, request)
            else:
                self.told[node, edge_pb2.FeedbackReply.Outcome.Name(outcome)] += 1
                return
        raise errors.UnavailableError(f"{node} took no truth of {request.request_id} in {PATIENCE * LATER_S:.0f} s")

    def __enter__(self) -> "Agents":
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def _call(channel: grpc.Channel, method: str, request: Any, reply: Any) -> Any:
    return channel.unary_unary(
        method, request_serializer=request.SerializeToString, response_deserializer=reply.FromString
    )


def _unavailable(node: str, exc: grpc.RpcError) -> errors.UnavailableError:
    return errors.UnavailableError(f"{node} did not answer: {exc.code().name}: {exc.details()}")
