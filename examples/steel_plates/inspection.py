"""The camera's program and the inspector's: a plate is one gRPC call, and the fault that a person sees is told to the
agent that answered."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from examples import client
from examples.steel_plates.plates import Plates
from skerry.core import feedback
from skerry.proto import edge_pb2, open_inference_pb2


@dataclass(frozen=True, slots=True)
class Graded:
    """One reply: the plate's index, who answered and what; `token` is empty where it was not kept."""

    index: int
    request_id: str
    node: str
    digest: str
    answer: int
    token: str


class Inspection:
    """Asks the nodes in turn. Use as a context manager."""

    def __init__(self, model: str, addresses: Mapping[str, str]) -> None:
        self._model, self._nodes = model, list(addresses)
        self._agents = client.Agents(model, "", addresses)

    @property
    def told(self) -> Counter[tuple[str, str]]:
        return self._agents.told

    def ask(self, plates: Plates, index: int, name: str) -> Graded:
        """Raises UnavailableError."""
        node, request_id = self._nodes[index % len(self._nodes)], f"{name}-{index}"
        request = open_inference_pb2.ModelInferRequest(model_name=self._model, id=request_id)
        row = np.ascontiguousarray(plates.x[index : index + 1], dtype="<f4")
        request.inputs.add(name="plate", datatype="FP32", shape=row.shape)
        request.raw_input_contents.append(row.tobytes())
        reply = self._agents.infer(node, request)
        scores = np.frombuffer(reply.raw_output_contents[0], dtype="<f4")
        said = reply.parameters
        return Graded(
            index,
            request_id,
            node,
            said["skerry_local_digest"].string_param,
            int(scores.argmax()),
            said[feedback.PARAMETER].string_param,
        )

    def tell(self, graded: Graded, fault: int) -> None:
        """Raises UnavailableError, also of an earlier one."""
        request = edge_pb2.FeedbackRequest(
            model=self._model, request_id=graded.request_id, token=graded.token, label=fault
        )
        self._agents.send(graded.node, request)

    def settle(self) -> None:
        self._agents.settle()

    def __enter__(self) -> "Inspection":
        return self

    def __exit__(self, *_: object) -> None:
        self._agents.__exit__()
