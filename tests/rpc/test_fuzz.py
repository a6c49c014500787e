"""Random conversations: never an exception, a leak or a malformed frame (`make fuzz` does this guided by coverage)."""

import functools
import random

import rpc_fuzz
from hypothesis import given, settings
from hypothesis import strategies as st

_fuzz = functools.cache(rpc_fuzz.Fuzz)


@settings(max_examples=1_500, deadline=None)
@given(st.integers(0, 2**64), st.integers(0, 600))
def test_any_conversation_leaves_nothing_behind(seed: int, size: int) -> None:
    _fuzz().run(random.Random(seed).randbytes(size))
