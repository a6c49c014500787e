"""Asking a teacher over gRPC: rows in batches, probabilities back, and a teacher that talks nonsense counts as away."""

import socket
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from training_world import MODEL, spec, windows

from skerry.adapters.oip import codec
from skerry.core import errors, specs
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb
from skerry.trainer import teacher

Answer = Callable[[InferRequest], np.ndarray]
PRESS = specs.parse_edge_model(MODEL, spec())


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """An OIP v2 server that answers ModelInfer by `answer`."""

    def infer(message: pb.ModelInferRequest, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        request = codec.decode_request(message)
        reply = InferReply(request.model, "1", (Tensor.of("logits", answer(request)),))
        return codec.encode_reply(reply, request)

    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelInferResponse.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def test_every_row_gets_its_own_probabilities_in_batches() -> None:
    sizes: list[int] = []

    def answer(request: InferRequest) -> np.ndarray:
        rows = request.inputs[0].data
        sizes.append(len(rows))
        return rows[:, 0, :3] * 10

    x, _ = windows([50, 50, 50])
    with serving(answer) as address:
        soft = teacher.soft_labeler(address, PRESS)(x)
    assert sizes == [64, 64, 22] and soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(soft.argmax(axis=1), x[:, 0, :3].argmax(axis=1))


def test_a_teacher_that_ends_in_a_softmax_is_taken_at_its_word() -> None:
    given = np.float32([[0.99, 0.005, 0.005], [0.2, 0.7, 0.1]])
    with serving(lambda request: given[: len(request.inputs[0].data)]) as address:
        soft = teacher.soft_labeler(address, PRESS)(windows([1, 1, 0])[0])
    np.testing.assert_allclose(soft, given, atol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda r: np.zeros((len(r.inputs[0].data), 5), np.float32), id="other classes"),
        pytest.param(lambda r: np.full((len(r.inputs[0].data), 3), np.nan, np.float32), id="no numbers"),
        pytest.param(lambda r: np.zeros((1, 3), np.float32), id="fewer rows"),
        pytest.param(lambda r: np.zeros((len(r.inputs[0].data), 3), np.int64), id="whole numbers"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_words(answer: Answer) -> None:
    with serving(answer) as address, pytest.raises(errors.UnavailableError, match="does it serve this model"):
        teacher.soft_labeler(address, PRESS)(windows([2, 2, 2])[0])


def test_a_teacher_that_is_away_is_unavailable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(errors.UnavailableError):
            teacher.soft_labeler(f"127.0.0.1:{held.getsockname()[1]}", PRESS)(windows([2, 2, 2])[0])


def test_no_rows_need_no_teacher() -> None:
    assert teacher.soft_labeler("127.0.0.1:1", PRESS)(windows([0, 0, 0])[0]).shape == (0, 3)
