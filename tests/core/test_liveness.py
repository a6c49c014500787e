"""A node's state comes from the age of its last sign of life."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import liveness
from skerry.core.liveness import State

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("connected", "age_s", "state"),
    [
        pytest.param(True, 0, State.ONLINE, id="connected and heard of now is online"),
        pytest.param(True, 10, State.ONLINE, id="connected and heard of within two marks is online"),
        pytest.param(True, 11, State.STALE, id="connected but silent is stale: the flag alone proves nothing"),
        pytest.param(False, 1, State.STALE, id="a connection that just ended is stale"),
        pytest.param(False, 15, State.STALE, id="up to the fleet's threshold it stays stale"),
        pytest.param(False, 16, State.OFFLINE, id="beyond the threshold it is offline"),
        pytest.param(True, 16, State.OFFLINE, id="beyond the threshold it is offline, whatever the flag says"),
        pytest.param(True, 2_600_000, State.OFFLINE, id="last seen a month ago is never shown as running"),
        pytest.param(True, -30, State.ONLINE, id="a mark from a clock ahead counts as now"),
    ],
)
def test_state_by_age(connected: bool, age_s: int, state: State) -> None:
    found = liveness.judge(connected=connected, last_seen_ms=NOW - age_s * 1000, now_ms=NOW, offline_after_s=15)
    assert found.state is state
    assert found.age_s == max(0, age_s)


def test_a_node_that_is_marked_seldom_is_believed_for_two_marks() -> None:
    """A large fleet writes less: its gateway says how often it marks, and everybody counts with that."""

    def at(age_s: int) -> State:
        seen = NOW - age_s * 1000
        return liveness.judge(connected=True, last_seen_ms=seen, now_ms=NOW, offline_after_s=15, heartbeat_s=30).state

    assert (at(60), at(61)) == (State.ONLINE, State.OFFLINE)


@pytest.mark.parametrize("connected", [True, False])
def test_never_heard_of_is_a_state_of_its_own(connected: bool) -> None:
    found = liveness.judge(connected=connected, last_seen_ms=0, now_ms=NOW, offline_after_s=15)
    assert (found.state, found.age_s) == (State.UNKNOWN, None)


@given(st.booleans(), st.integers(1, NOW), st.integers(5, 86_400), st.integers(0, 10**8))
def test_a_silent_node_only_gets_worse(connected: bool, seen: int, offline_after_s: int, later_ms: int) -> None:
    order = [State.ONLINE, State.STALE, State.OFFLINE]
    now, later = (
        liveness.judge(connected=connected, last_seen_ms=seen, now_ms=at, offline_after_s=offline_after_s).state
        for at in (NOW, NOW + later_ms)
    )
    assert order.index(now) <= order.index(later)


@given(st.lists(st.sampled_from(State)))
def test_the_counts_add_up(states: list[State]) -> None:
    assert sum(liveness.tally(states).values()) == len(states)
