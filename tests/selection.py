"""What of a long table `make test` plays; the rest is marked `long`, for `make test-rest`."""

from collections.abc import Sequence
from typing import Any

import pytest
from _pytest.mark import ParameterSet

# Servers as processes: grpcio beside our own transport, of which tests/rpc compares every kind of call each time.
TRANSPORTS = ("h2", pytest.param("grpcio", marks=pytest.mark.long))


def sampled(rows: Sequence[tuple[Any, ...]], *, every: int) -> list[ParameterSet]:
    """Parameters from rows whose last item is the id; of every few rows the first is not long."""
    marks = [() if number % every == 0 else (pytest.mark.long,) for number in range(len(rows))]
    return [pytest.param(*values, id=name, marks=mark) for (*values, name), mark in zip(rows, marks, strict=True)]
