"""Callers get what the process does not need itself."""

import subprocess
import sys

import pytest

from skerry.adapters import descriptors

_RAISED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
from skerry.adapters import descriptors
print(descriptors.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("limit", "connections"),
    [
        pytest.param(1_024, 768, id="a quarter is kept back"),
        pytest.param(256, 128, id="and no less than the process needs"),
        pytest.param(65_536, 64_512, id="and no more"),
        pytest.param(100, 1, id="a caller is served even where there are too few"),
    ],
)
def test_some_descriptors_are_the_processes_own(limit: int, connections: int) -> None:
    assert descriptors.for_connections(limit) == connections


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", _RAISED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4096", "4096", "4096"]
