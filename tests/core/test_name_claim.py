"""Who holds the name of a node: one row per sentence of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import name_claim
from skerry.core.name_claim import Holder


@pytest.mark.parametrize(
    ("boot", "earlier", "holder", "expected"),
    [
        pytest.param("a", (), None, (), id="a name that nobody holds is taken"),
        pytest.param("a", (), Holder(""), (), id="a node that was written down without a process is free"),
        pytest.param("b", (), Holder("a"), ("a",), id="a process that nobody knows takes the place of the one before"),
        pytest.param("a", (), Holder("b", ("a",)), None, id="one whose place was taken is refused"),
        pytest.param("c", (), Holder("b", ("a",)), ("b", "a"), id="a third takes the place of both"),
        pytest.param("b", ("a",), Holder("a"), ("a",), id="an object that lags behind takes nothing back"),
        pytest.param("b", (), Holder("b", ("a",)), ("a",), id="the holder comes back and is still the holder"),
        pytest.param("a", ("b",), None, ("b",), id="when the holder is gone one that was displaced may come"),
    ],
)
def test_who_holds_a_name(
    boot: str, earlier: tuple[str, ...], holder: Holder | None, expected: tuple[str, ...] | None
) -> None:
    assert name_claim.claim(boot, earlier, holder) == expected


@given(st.lists(st.sampled_from("abc"), max_size=200))
def test_however_three_processes_take_turns_the_name_changes_hands_twice_at_most(turns: list[str]) -> None:
    holder, changes = None, -1
    for boot in turns:
        earlier = name_claim.claim(boot, (), holder)
        if earlier is not None:
            changes += holder is None or holder.boot_id != boot
            holder = Holder(boot, earlier)
    assert changes <= 2


def test_what_is_remembered_is_bounded_and_the_newest_stays() -> None:
    holder = Holder("p0")
    for number in range(1, 50):
        holder = Holder(f"p{number}", name_claim.claim(f"p{number}", (), holder) or ())
    assert holder.earlier == tuple(f"p{number}" for number in range(48, 40, -1))
