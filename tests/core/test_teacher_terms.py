"""A teacher's answer is read by its label map: a number of classes says nothing about their order."""

import pytest

from skerry.core import teacher_terms
from skerry.core.class_maps import FormerClasses
from skerry.core.tasks import Classification

OLD = Classification(("ok", "worn"))
MAPPED = Classification(("worn", "ok"), (FormerClasses(("ok", "worn")),))


@pytest.mark.parametrize(
    ("task", "given", "says"),
    [
        pytest.param(OLD, "", "", id="another server says nothing: enough while there was one map"),
        pytest.param(OLD, OLD.digest, "", id="the same map"),
        pytest.param(OLD, MAPPED.digest, "teach it anew", id="another map"),
        pytest.param(MAPPED, OLD.digest, "teach it anew", id="a former map: not before it is taught anew"),
        pytest.param(MAPPED, "", "does not say by which label map", id="nothing said, and there were several"),
        pytest.param(MAPPED, MAPPED.digest, "", id="taught anew"),
    ],
)
def test_a_teacher_is_believed_by_its_label_map(task: Classification, given: str, says: str) -> None:
    told = {teacher_terms.PARAMETER: given} if given else {}
    fault = teacher_terms.fault(task, told)
    assert (says in fault) if says else not fault
