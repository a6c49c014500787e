"""The client of the examples against a server that answers as agents do."""

from collections.abc import Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest

from examples import client
from skerry.core import feedback, series_stamp
from skerry.proto import edge_pb2
from skerry.proto import open_inference_pb2 as pb


class Agent:
    """Refuses every third truth once, for it takes no more for now."""

    def __init__(self) -> None:
        self.asked: list[pb.ModelInferRequest] = []
        self.truths: list[tuple[str, list[float], str]] = []
        self.refused = 0

    def infer(self, request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        self.asked.append(request)
        reply = pb.ModelInferResponse(model_name=request.model_name)
        told = {"value": "3.5,4", "low": "2,2.5", "high": "5,6", "local_digest": "sha256:b", "confidence": "0.25"}
        for name, text in told.items():
            reply.parameters[f"skerry_{name}"].string_param = text
        if request.id != "not-kept":
            reply.parameters[feedback.PARAMETER].string_param = f"token of {request.id}"
        return reply

    def feedback(self, request: edge_pb2.FeedbackRequest, context: grpc.ServicerContext) -> edge_pb2.FeedbackReply:
        if len(self.truths) % 3 == 2 and self.refused <= len(self.truths) // 3:
            self.refused += 1
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
        self.truths.append((request.request_id, list(request.values), request.token))
        return edge_pb2.FeedbackReply(outcome=edge_pb2.FeedbackReply.RECORDED)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Agent, client.Agents]]:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    made, server = Agent(), grpc.server(futures.ThreadPoolExecutor(1))
    kinds = {
        "inference.GRPCInferenceService": ("ModelInfer", made.infer, pb.ModelInferRequest, pb.ModelInferResponse),
        "skerry.edge.v1.Edge": ("Feedback", made.feedback, edge_pb2.FeedbackRequest, edge_pb2.FeedbackReply),
    }
    for service, (method, handler, request, reply) in kinds.items():
        unary = grpc.unary_unary_rpc_method_handler(
            handler, request.FromString, lambda reply: reply.SerializeToString()
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: unary}),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with client.Agents("load", "plant", {"edge-1": address, "edge-2": address}) as agents:
        yield made, agents
    server.stop(None).wait()


def test_a_request_names_series_and_time_and_nodes_are_asked_in_turn(agent: tuple[Agent, client.Agents]) -> None:
    made, agents = agent
    window = np.arange(6, dtype=np.float32).reshape(3, 2)
    answers = [agents.ask(index, f"r-{index}", window, 1_700_000_000_000 + index) for index in range(3)]
    assert [answer.node for answer in answers] == ["edge-1", "edge-2", "edge-1"]
    assert (answers[0].value, answers[0].low, answers[0].high) == ((3.5, 4.0), (2.0, 2.5), (5.0, 6.0))
    assert (answers[0].digest, answers[0].confidence, answers[0].token) == ("sha256:b", 0.25, "token of r-0")
    sent = made.asked[1]
    assert sent.parameters[series_stamp.SERIES].string_param == "plant"
    assert sent.parameters[series_stamp.TIME].int64_param == 1_700_000_000_001
    assert np.frombuffer(sent.raw_input_contents[0], "<f4").tolist() == window.ravel().tolist()


def test_a_truth_that_an_agent_does_not_take_now_is_told_again(agent: tuple[Agent, client.Agents]) -> None:
    made, agents = agent
    window = np.zeros((3, 2), np.float32)
    for index in range(9):
        agents.tell(agents.ask(0, f"r-{index}", window, 1), [1.0, float(index)])
    agents.tell(agents.ask(0, "not-kept", window, 1), [1.0, 2.0])
    agents.settle()
    assert made.refused == 3
    assert {(name, token) for name, _, token in made.truths} == {(f"r-{n}", f"token of r-{n}") for n in range(9)}
    assert agents.told == {("edge-1", "RECORDED"): 9, ("edge-1", "NOT_KEPT"): 1}
