"""Random conversations: never an exception, a leak or a malformed frame (`make fuzz` does this guided by coverage)."""

import random

import pytest
import rpc_fuzz


@pytest.mark.parametrize("seed", range(4))
def test_any_conversation_leaves_nothing_behind(seed: int) -> None:
    chance, fuzz = random.Random(seed), rpc_fuzz.Fuzz()
    for _ in range(4_000):
        fuzz.run(chance.randbytes(chance.randrange(400)))
    assert fuzz.runs == 4_000
    fuzz.close()
