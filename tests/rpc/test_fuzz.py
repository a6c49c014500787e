"""Random conversations: never an exception, a leak or a malformed frame (`make fuzz` does this guided by coverage)."""

import functools

import rpc_fuzz
from hypothesis import given, settings
from hypothesis import strategies as st

_fuzz = functools.cache(rpc_fuzz.Fuzz)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=600))
def test_any_conversation_leaves_nothing_behind(data: bytes) -> None:
    _fuzz().run(data)
