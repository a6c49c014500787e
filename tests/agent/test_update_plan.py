"""The node's next step as sentences, and what no message order can make it do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.agent.update import ledger, update_plan
from skerry.agent.update.update_plan import Action, Permit, Step
from skerry.core import errors
from skerry.proto import fleet_pb2

DIGEST = "sha256:" + "b" * 64
OLD = ledger.Pointer(1, "sha256:" + "a" * 64)
WANTED = update_plan.Assignment("digits", DIGEST, 2, "retrained/digits/2", "digits-v2-auto", 1)
PERMIT = Permit(number=8, ttl_s=60.0, request=100, epoch=3)
ALLOWED = replace(WANTED, permit=PERMIT)
FACTS = update_plan.Facts(
    serving=OLD,
    refusal=None,
    tries=0,
    is_staged=False,
    retry_at_s=0.0,
    last_failure="",
    highest_permit=7,
    highest_epoch=3,
    requests={100: 10.0},
)
STAGED = replace(FACTS, is_staged=True)


@pytest.mark.parametrize(
    ("wanted", "facts", "action", "state"),
    [
        pytest.param(WANTED, FACTS, Action.FETCH, "FETCHING", id="what is not here is fetched, permit or not"),
        pytest.param(WANTED, replace(FACTS, serving=None), Action.FETCH, "FETCHING", id="so is the first version"),
        pytest.param(
            ALLOWED, replace(FACTS, serving=WANTED.pointer), Action.NOTHING, "SERVING", id="what serves is done"
        ),
        pytest.param(WANTED, STAGED, Action.NOTHING, "STAGED", id="staged waits for a permit"),
        pytest.param(ALLOWED, STAGED, Action.SWAP, "STAGED", id="a good permit allows the swap"),
        pytest.param(
            replace(ALLOWED, rollout="", attempt=0), STAGED, Action.SWAP, "STAGED", id="a settled version needs one too"
        ),
        pytest.param(
            ALLOWED,
            replace(STAGED, refusal=ledger.Refusal("REFUSED", "bad")),
            Action.NOTHING,
            "REFUSED",
            id="refused stays refused, even with a permit",
        ),
        pytest.param(
            WANTED, replace(FACTS, retry_at_s=30.0), Action.NOTHING, "FETCH_FAILED", id="a failed fetch waits its time"
        ),
        pytest.param(WANTED, replace(FACTS, retry_at_s=20.0), Action.FETCH, "FETCHING", id="and is then tried again"),
        pytest.param(
            ALLOWED, replace(STAGED, tries=1), Action.SWAP, "STAGED", id="one death of the process may be an accident"
        ),
        pytest.param(ALLOWED, replace(STAGED, tries=2), Action.REFUSE, "SWAP_FAILED", id="two are the version's fault"),
    ],
)
def test_next_step(wanted: update_plan.Assignment, facts: update_plan.Facts, action: Action, state: str) -> None:
    step = update_plan.next_step(wanted, facts, now_s=20.0)
    assert (step.action, step.state) == (action, state)


@pytest.mark.parametrize(
    ("permit", "facts", "text"),
    [
        pytest.param(replace(PERMIT, number=7), STAGED, "used before", id="a used one"),
        pytest.param(replace(PERMIT, number=2), STAGED, "used before", id="one with a lower number"),
        pytest.param(replace(PERMIT, epoch=2), STAGED, "deposed leader", id="one from a deposed leader"),
        pytest.param(replace(PERMIT, request=99), STAGED, "did not make", id="one for a request of an earlier boot"),
        pytest.param(None, STAGED, "waits for a permit", id="none"),
    ],
)
def test_permits_that_allow_nothing(permit: Permit | None, facts: update_plan.Facts, text: str) -> None:
    step = update_plan.next_step(replace(WANTED, permit=permit), facts, now_s=20.0)
    assert (step.action, step.state) == (Action.NOTHING, "STAGED")
    assert text in step.reason


@pytest.mark.parametrize(
    ("given", "action"),
    [
        pytest.param(replace(PERMIT, ttl_s=10.0), Action.GIVE_UP, id="too late: it is given up"),
        pytest.param(replace(PERMIT, ttl_s=10.1), Action.SWAP, id="just in time"),
        pytest.param(replace(PERMIT, ttl_s=10.0, number=7), Action.NOTHING, id="too late and used: it is nothing"),
        pytest.param(
            replace(PERMIT, ttl_s=10.0, epoch=2), Action.NOTHING, id="of a deposed leader: no number is burnt"
        ),
    ],
)
def test_a_permit_that_comes_too_late(given: Permit, action: Action) -> None:
    assert update_plan.next_step(replace(WANTED, permit=given), STAGED, now_s=20.0).action is action


@given(
    number=st.integers(-5, 20),
    ttl_s=st.floats(-5, 100),
    request=st.integers(98, 102),
    epoch=st.integers(0, 6),
    now_s=st.floats(0, 200),
    is_staged=st.booleans(),
    refused=st.booleans(),
)
def test_a_swap_needs_all_of_a_new_number_a_living_leader_our_request_and_time(
    number: int, ttl_s: float, request: int, epoch: int, now_s: float, is_staged: bool, refused: bool
) -> None:
    facts = replace(FACTS, is_staged=is_staged, refusal=ledger.Refusal("REFUSED", "bad") if refused else None)
    step = update_plan.next_step(replace(WANTED, permit=Permit(number, ttl_s, request, epoch)), facts, now_s=now_s)
    may = is_staged and not refused and number > 7 and epoch >= 3 and request == 100 and now_s < 10.0 + ttl_s
    assert (step.action is Action.SWAP) == may


def message(**changes: object) -> fleet_pb2.Assignment:
    fields = {"model": "digits", "digest": DIGEST, "version": 2, "target_path": "retrained/digits/2", "rollout": "r"}
    return fleet_pb2.Assignment(**(fields | changes))  # type: ignore[arg-type]


def test_an_assignment_is_read_whole() -> None:
    given_permit = fleet_pb2.Permit(number=8, ttl_ms=60_000, request=100, epoch=3)
    assert update_plan.parse(message(attempt=1, rollout="digits-v2-auto", permit=given_permit)) == ALLOWED


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "sha256:xyz"},
        {"digest": ""},
        {"version": 0},
        {"version": -1},
        {"target_path": "retrained/digits/3"},
        {"target_path": "retrained/other/2"},
        {"target_path": "../../etc/passwd"},
        {"target_path": "retrained/digits/2/x"},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()),
)
def test_a_malformed_assignment_is_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(errors.InputError, match="digits"):
        update_plan.parse(message(**changes))


def test_a_step_says_why() -> None:
    refused = replace(FACTS, refusal=ledger.Refusal("INCOMPATIBLE", "IR 14 is above 10"))
    assert update_plan.next_step(WANTED, refused, now_s=0.0) == Step(
        Action.NOTHING, "INCOMPATIBLE", "IR 14 is above 10"
    )
