"""Which requests may become examples: those that a dataset can hold."""

import numpy as np
import pytest

from skerry.agent.capture import captured_row, sampler
from skerry.agent.feedback_tokens import NoTokens
from skerry.core import errors, offload, sampling, subjects, tensors
from skerry.core.inference import InferRequest
from skerry.core.tasks import Classification, Task

ONE = tensors.Tensor.of("x", np.zeros((1, 4), dtype=np.float32))
OTHER = tensors.Tensor.of("gauges", np.zeros((1, 2), dtype=np.float32))
TEXT = tensors.Tensor.of("text", np.array([[b"a"]], dtype=object))
HALF = tensors.Tensor("x", "BF16", (1, 4), np.zeros((1, 4), dtype=np.float32))


class Queue:
    def __init__(self) -> None:
        self.kept: list[captured_row.CapturedRow] = []

    def offer(self, answered: captured_row.CapturedRow) -> bool:
        self.kept.append(answered)
        return True


@pytest.mark.parametrize(
    ("inputs", "kept"),
    [((ONE,), 1), ((ONE, OTHER), 0), ((TEXT,), 0), ((HALF,), 0)],
    ids=["one input of numbers", "several inputs", "texts", "bfloat16, which no dataset holds"],
)
def test_only_what_a_dataset_can_hold_is_captured(inputs: tuple[tensors.Tensor, ...], kept: int) -> None:
    queue = Queue()
    hard = sampler.AnsweredRequest(
        InferRequest("digits", inputs, id="r-1"),
        "sha256:" + "1" * 64,
        np.zeros((1, 3), dtype=np.float32),
        (0.3,),
        0.8,
        offload.Decision(offload.Route.LOCAL, offload.Reason.NO_TEACHER),
        Classification(("cat", "dog", "bird")),
    )
    policy = sampling.CapturePolicy(hard=1.0)
    cap = offload.TokenBucket.full(10.0, 10.0, 0.0)

    def remember(row: captured_row.CapturedRow, task: Task) -> None:
        pytest.fail("the truth of a class is not waited for")

    sample = sampler.Sampler(queue, lambda: 0.0, lambda: 0, NoTokens(), remember)  # type: ignore[arg-type]
    sample(hard, policy, cap, 0.0)
    assert len(queue.kept) == kept


@pytest.mark.parametrize(
    ("subject", "key", "kept"),
    [
        ("Jane Doe", b"k" * 32, [subjects.hashed("Jane Doe", b"k" * 32)]),
        ("Jane Doe", b"", []),
        ("", b"", [""]),
    ],
    ids=[
        "a subject is kept as a keyed hash",
        "without a key nothing of a named subject is kept",
        "no subject, no hash",
    ],
)
def test_whose_a_row_is(subject: str, key: bytes, kept: list[str]) -> None:
    queue = Queue()
    given = {subjects.SUBJECT: subject} if subject else {}
    answered = sampler.AnsweredRequest(
        InferRequest("digits", (ONE,), id="r-1", parameters=given),
        "sha256:" + "1" * 64,
        np.zeros((1, 3), dtype=np.float32),
        (0.3,),
        0.8,
        offload.Decision(offload.Route.LOCAL, offload.Reason.NO_TEACHER),
        Classification(("cat", "dog", "bird")),
    )
    cap = offload.TokenBucket.full(10.0, 10.0, 0.0)
    sample = sampler.Sampler(queue, lambda: 0.0, lambda: 0, NoTokens(), lambda row, task: None, key)  # type: ignore[arg-type]
    sample(answered, sampling.CapturePolicy(hard=1.0), cap, 0.0)
    assert [row.subject for row in queue.kept] == kept
    assert subjects.hashed("Jane Doe", b"k" * 32) != subjects.hashed("Jane Doe", b"l" * 32)


@pytest.mark.parametrize("given", [7, "", "a" * 300, "a\x00b"], ids=["number", "empty", "long", "control"])
def test_a_subject_that_cannot_be_one_is_refused_and_not_repeated(given: object) -> None:
    with pytest.raises(errors.InputError, match=r"skerry_subject: must be printable text") as refused:
        subjects.of({subjects.SUBJECT: given})  # type: ignore[dict-item]
    assert not given or str(given) not in str(refused.value)
