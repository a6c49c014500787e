"""What counts in another label map than the version: a truth is passed on with it, the cloud is not believed."""

from typing import Any, cast

import numpy as np
import pytest

from skerry.agent import feedback_servicer, local_answer
from skerry.agent.local_answer import LocalAnswer
from skerry.core import errors, teacher_terms
from skerry.core.class_maps import FormerClasses
from skerry.core.confidence import Calibration
from skerry.core.inference import InferReply
from skerry.core.tasks import Classification
from skerry.core.tensors import Tensor
from skerry.proto import edge_pb2

HERE = Classification(("ok", "worn"))
ELSEWHERE = Classification(("broken", "worn", "ok"))


def told(label: int, label_map: str = "") -> Any:
    return edge_pb2.FeedbackRequest(model="press", request_id="r", label=label, label_map=label_map)


def test_a_truth_of_another_label_map_is_taken_as_it_counts_there() -> None:
    assert feedback_servicer.truth_of(told(2, ELSEWHERE.digest), HERE) == 2
    assert feedback_servicer.truth_of(told(1, HERE.digest), HERE) == 1


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(told(2), id="no such class here"),
        pytest.param(told(2, HERE.digest), id="nor by the map of this version"),
        pytest.param(told(10_000, ELSEWHERE.digest), id="more than any model has"),
        pytest.param(told(-1, ELSEWHERE.digest), id="below the first"),
        pytest.param(told(0, "sha256:short"), id="no digest"),
    ],
)
def test_a_truth_that_can_be_of_no_map_is_refused(request_: Any) -> None:
    with pytest.raises(errors.InputError):
        feedback_servicer.truth_of(request_, HERE)


@pytest.mark.parametrize(
    ("task", "said", "is_taken"),
    [
        pytest.param(HERE, "", True, id="a server that says nothing, and one map ever"),
        pytest.param(HERE, HERE.digest, True, id="the same map"),
        pytest.param(HERE, Classification(("worn", "ok")).digest, False, id="as many classes in another order"),
        pytest.param(Classification(("worn", "ok"), (FormerClasses(("ok", "worn")),)), "", False, id="nothing said"),
    ],
)
def test_the_clouds_answer_counts_only_in_the_versions_own_map(task: Classification, said: str, is_taken: bool) -> None:
    outputs = np.array([[0.2, 0.1]], dtype=np.float32)
    mine = InferReply("press", "1", (Tensor.of("logits", outputs),))
    local = LocalAnswer(cast(Any, None), mine, outputs, task, Calibration(), (0.5,), (0.5,), 0.0)
    theirs = np.array([[0.0, 9.0]], dtype=np.float32)
    parameters = {teacher_terms.PARAMETER: said} if said else {}
    reply = InferReply("press", "7", (Tensor.of("scores", theirs),), parameters=parameters)
    if is_taken:
        taken = local_answer.as_local(reply, local)
        assert taken.outputs[0].data.tolist() == theirs.tolist() and teacher_terms.PARAMETER not in taken.parameters
    else:
        with pytest.raises(errors.UnavailableError, match="teach it anew"):
            local_answer.as_local(reply, local)
