"""What an arm says without any one of its nodes: equal to the plain form, at a cost that does not grow with pairs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import arms, evidence
from skerry.core.arms import Count
from skerry.core.specs import Analysis

NODES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (max(pair), min(pair))), max_size=12
)


def plainly(counts: Sequence[Count], limit: float | None) -> list[float]:
    """The rates as their definition says, one sum for each node that is left out."""
    counted = [count for count in counts if count.n > 0]
    if len(counted) < 2:
        return []
    return [arms.capped([count for count in counted if count is not one], limit).rate for one in counted]


@given(NODES, st.none() | st.integers(1, 50))
def test_rates_without_one_node_are_those_of_the_plain_form(sizes: list[tuple[int, int]], limit: int | None) -> None:
    counts = [Count(f"n{k}", n, bad, 0) for k, (n, bad) in enumerate(sizes)]
    assert sorted(arms.rates_without_one(counts, limit)) == sorted(plainly(counts, limit))


@pytest.mark.parametrize("judges", [1, 3])
def test_a_verdict_looks_at_each_node_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch, judges: int) -> None:
    """One node alone could turn it was asked with a sum over all for each: 13 s at 4,000 nodes."""
    looks, share = [0], arms._share

    def counting(count: Count, limit: float) -> tuple[int, int]:
        looks[0] += 1
        return share(count, limit)

    monkeypatch.setattr(arms, "_share", counting)
    nodes = 2_000
    canary = tuple(Count(f"c{k}", 20 + k % 7, k % 3, 1_000) for k in range(nodes))
    baseline = tuple(Count(f"b{k}", 20 + k % 5, k % 3, 1_000) for k in range(nodes))
    found = evidence.Evidence(canary=canary, baseline=baseline, read_ms=1_000)
    told = evidence.verdict(found, Analysis(), now_ms=1_000, judges=judges)
    assert told.code == "NotWorse"  # it was asked whether one node decides
    assert looks[0] <= 20 * nodes
