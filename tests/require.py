"""What a test needs of the machine (a browser, Valkey, …). Where it is missing the test is skipped, which the
end of the run tells, and a failure when SKERRY_REQUIRE (names, comma separated) asks for it: no skip goes unnoticed."""

import os
from collections.abc import Callable, Mapping, Sequence

import pytest

VARIABLE = "SKERRY_REQUIRE"


def requires(name: str, available: bool | Callable[[], bool], why: str) -> pytest.MarkDecorator:
    """Mark a test, or a module by `pytestmark`, as needing `name`. `why` says what is missing and how to get it.

    `available` may be a function: it is asked only when a marked test is about to run.
    """
    return pytest.mark.requires(name, available, why)


def asked(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The names whose absence is a failure in this run."""
    return frozenset(name.strip() for name in environment.get(VARIABLE, "").split(",") if name.strip())


def check(marks: Sequence[pytest.Mark]) -> None:
    """Skip or fail the running test when something it needs is missing."""
    for mark in marks:
        name, available, why = mark.args
        if available() if callable(available) else available:
            continue
        if name in asked():
            pytest.fail(f"{VARIABLE} asks for {name}, which is missing: {why}", pytrace=False)
        pytest.skip(f"needs {name}: {why}")
