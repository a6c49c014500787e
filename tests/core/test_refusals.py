"""Which refused requests speak against a version: those that it, or the version before it, takes by their form."""

from dataclasses import replace
from typing import Any

import models
import numpy as np
import pytest

from skerry.core import errors, manifest, refusals
from skerry.core.inference import InferRequest
from skerry.core.manifest import Manifest
from skerry.core.tensors import Spec

WRONG = errors.InputError("wrong")


def version(name: str = "x", shape: tuple[int, ...] = (4,), **changes: Any) -> Manifest:
    made = models.manifest_for("m", b"", [Spec(name, "FP32", shape)], [models.LOGITS])
    return replace(made, **changes)


def request(name: str = "x", values: int = 4, dtype: Any = np.float32, **fields: Any) -> InferRequest:
    return InferRequest("m", (models.tensor(np.zeros((1, values)), name, dtype),), **fields)


STATE = (manifest.State("h", "h_next", (5,)),)


@pytest.mark.parametrize(
    ("asked", "serving", "before", "speaks"),
    [
        pytest.param(request(), version(), None, True, id="a form that it takes, and numbers that it does not"),
        pytest.param(request(), version(shape=(5,)), version(), True, id="the version before took that shape"),
        pytest.param(request(), version("y"), version(), True, id="the version before had that name"),
        pytest.param(request(), version(shape=(5,)), None, False, id="nobody ever took that shape"),
        pytest.param(request(values=7), version(), version(), False, id="rubbish to both"),
        pytest.param(request(dtype=np.float64), version(), version(), False, id="a datatype that neither takes"),
        pytest.param(request("z"), version(), version("y"), False, id="a name that neither has"),
        pytest.param(request(outputs=("other",)), version(), version(), False, id="an output that neither has"),
        pytest.param(request(), version(state=STATE), version(state=STATE), False, id="a step of a lost sequence"),
        pytest.param(request(), None, None, False, id="nothing serves"),
    ],
)
def test_a_refusal_speaks_against_a_version(
    asked: InferRequest, serving: Manifest | None, before: Manifest | None, speaks: bool
) -> None:
    assert refusals.speaks_against_version(asked, WRONG, serving, before) is speaks


@pytest.mark.parametrize("error", [errors.NotFoundError(), errors.UnsupportedError(), errors.UnavailableError()])
def test_other_errors_do_not(error: errors.SkerryError) -> None:
    assert not refusals.speaks_against_version(request(), error, version(), version())


def test_numbers_that_are_not_finite_are_the_callers_fault_with_any_version() -> None:
    asked = InferRequest("m", (models.tensor([[np.nan, 0, 0, 0]]),))
    assert not refusals.speaks_against_version(asked, WRONG, version(), version())
