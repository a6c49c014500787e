"""The teacher says in each reply by which label map the version that answered counts."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from skerry.core import errors, teacher_terms
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tasks import Classification
from skerry.serving.predictor import Answer, Context, Job
from skerry.teacher.label_maps import SaysLabelMap

TASK = Classification(("ok", "worn"))


class Registry:
    def find(self, request: InferRequest) -> Any:
        if request.model != "press":
            raise errors.NotFoundError("not served here")
        names = () if request.version == "2" else TASK.class_names
        return SimpleNamespace(
            digest=f"of {request.version}", manifest=SimpleNamespace(class_names=names, task=Classification(names))
        )


class Inner:
    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            request = job.request
            known = request.model == "press"
            reply = InferReply("press", request.version, (), digest=f"of {request.version}")
            job.finish(reply if known else errors.NotFoundError("not served here"))


def answered(model: str, version: str) -> Answer:
    got: list[Answer] = []
    plane = SaysLabelMap(Inner(), cast(Any, Registry()))
    plane.submit([Job(InferRequest(model, (), version), Context(), got.append)])
    (answer,) = got
    return answer


def test_a_version_with_class_names_tells_their_digest() -> None:
    answer = answered("press", "1")
    assert isinstance(answer, InferReply) and answer.parameters == {teacher_terms.PARAMETER: TASK.digest}


def test_one_without_names_tells_nothing_and_an_error_stays_an_error() -> None:
    answer = answered("press", "2")
    assert isinstance(answer, InferReply) and answer.parameters == {}
    assert isinstance(answered("other", "1"), errors.NotFoundError)
