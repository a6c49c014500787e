"""Who is let in with a join token: one row per sentence of the policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, join_tokens
from skerry.core.join_tokens import EnrolledNode, Outcome, Reason, Use

SECRET = "s" * 32
MINE, OTHER = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
NOW = 1_000_000


def token(**given: object) -> join_tokens.JoinToken:
    fields = {"uses": 2, "node_pattern": "edge-*", **given}
    return join_tokens.JoinToken("t1", join_tokens.secret_hash(SECRET), NOW + 1, **fields)


FRESH = token()
ROWS = [
    pytest.param(
        FRESH, SECRET, None, "edge-1", Outcome.ISSUE, Reason.TOKEN_VALID, True, id="a new node with a good token"
    ),
    pytest.param(
        None, SECRET, None, "edge-1", Outcome.REFUSE, Reason.TOKEN_UNKNOWN, False, id="a token that nobody made"
    ),
    pytest.param(
        FRESH, "x" * 32, None, "edge-1", Outcome.REFUSE, Reason.TOKEN_UNKNOWN, False, id="a wrong secret is told alike"
    ),
    pytest.param(
        token(uses=1, used=(Use("edge-2", OTHER),)),
        SECRET,
        None,
        "edge-1",
        Outcome.REFUSE,
        Reason.TOKEN_USED_UP,
        False,
        id="a token that is used up",
    ),
    pytest.param(
        FRESH,
        SECRET,
        None,
        "core-1",
        Outcome.REFUSE,
        Reason.TOKEN_FOR_OTHERS,
        False,
        id="a node whose name does not fit",
    ),
    pytest.param(
        token(used=(Use("edge-1", MINE),)),
        SECRET,
        None,
        "edge-1",
        Outcome.ISSUE,
        Reason.ANSWER_REPEATED,
        False,
        id="the answer was lost before the node was made",
    ),
    pytest.param(
        token(used=(Use("edge-1", OTHER),)),
        SECRET,
        None,
        "edge-1",
        Outcome.REFUSE,
        Reason.KEY_CHANGED,
        False,
        id="the same name with another key after the node was deleted",
    ),
    pytest.param(
        FRESH,
        SECRET,
        EnrolledNode(MINE, False),
        "edge-1",
        Outcome.ISSUE,
        Reason.KEY_APPROVED,
        False,
        id="the approved key asks again",
    ),
    pytest.param(
        FRESH,
        SECRET,
        EnrolledNode(OTHER, False),
        "edge-1",
        Outcome.WAIT,
        Reason.KEY_CHANGED,
        False,
        id="a node that was reset",
    ),
    pytest.param(
        FRESH,
        SECRET,
        EnrolledNode("", False),
        "edge-1",
        Outcome.WAIT,
        Reason.KEY_NOT_APPROVED,
        False,
        id="a node that waits",
    ),
    pytest.param(
        None,
        "",
        EnrolledNode(MINE, False),
        "edge-1",
        Outcome.ISSUE,
        Reason.KEY_APPROVED,
        False,
        id="an approved key needs no token",
    ),
    pytest.param(
        None,
        "",
        EnrolledNode(OTHER, False),
        "edge-1",
        Outcome.REFUSE,
        Reason.TOKEN_UNKNOWN,
        False,
        id="another key does need one",
    ),
    pytest.param(
        None,
        "",
        EnrolledNode(MINE, True),
        "edge-1",
        Outcome.REFUSE,
        Reason.TOKEN_UNKNOWN,
        False,
        id="a revoked key without a token",
    ),
    pytest.param(
        FRESH,
        SECRET,
        EnrolledNode(MINE, True),
        "edge-1",
        Outcome.REFUSE,
        Reason.NODE_REVOKED,
        False,
        id="a revoked key, whatever its token",
    ),
    pytest.param(
        FRESH,
        SECRET,
        EnrolledNode(OTHER, True),
        "edge-1",
        Outcome.WAIT,
        Reason.NODE_REVOKED,
        False,
        id="whoever replaces a revoked node",
    ),
]


@pytest.mark.parametrize(("given_token", "secret", "known", "node", "outcome", "reason", "consumes"), ROWS)
def test_who_is_let_in(
    given_token: join_tokens.JoinToken | None,
    secret: str,
    known: EnrolledNode | None,
    node: str,
    outcome: Outcome,
    reason: Reason,
    consumes: bool,
) -> None:
    found = join_tokens.decide(given_token, secret, known, node, MINE, now_ms=NOW)
    assert (found.outcome, found.reason, found.consumes) == (outcome, reason, consumes)
    assert ("skerry nodes approve edge-1" in found.message) == (outcome is Outcome.WAIT)


def test_an_expired_token_lets_nobody_new_in_but_an_approved_key_may_still_use_it() -> None:
    new = join_tokens.decide(FRESH, SECRET, None, "edge-1", MINE, now_ms=NOW + 1)
    assert (new.outcome, new.reason) == (Outcome.REFUSE, Reason.TOKEN_EXPIRED)
    again = join_tokens.decide(token(used=(Use("edge-1", MINE),)), SECRET, None, "edge-1", MINE, now_ms=NOW + 1)
    assert again.reason is Reason.TOKEN_EXPIRED, "nor a node again whose object was deleted"
    approved = join_tokens.decide(FRESH, SECRET, EnrolledNode(MINE, False), "edge-1", MINE, now_ms=NOW + 1)
    assert approved.outcome is Outcome.ISSUE


def test_so_many_wait_by_one_token_and_not_for_ever() -> None:
    current = FRESH
    for number in range(join_tokens.MAX_WAITING):
        waiting = join_tokens.waits(current, f"edge-{number}", MINE, now_ms=NOW)
        assert waiting is not None
        current = token(waiting=tuple(waiting))
    assert len(current.waiting) == join_tokens.MAX_WAITING
    assert join_tokens.waits(current, "edge-x", MINE, now_ms=NOW) is None
    assert join_tokens.waits(current, "edge-0", MINE, now_ms=NOW + 1) is current.waiting, "asking again writes nothing"
    changed = join_tokens.waits(current, "edge-0", OTHER, now_ms=NOW + 1)
    assert changed is not None
    assert len(changed) == join_tokens.MAX_WAITING, "a node waits once"
    later = join_tokens.waits(current, "edge-x", MINE, now_ms=NOW + join_tokens.WAITING_MS)
    assert later == (join_tokens.Waiting("edge-x", MINE, NOW + join_tokens.WAITING_MS),)
    stored = {"nodes": [], "waiting": join_tokens.waiting_json(current.waiting)}
    spec = {"secretHash": MINE, "expiresUnixMs": 1}
    assert join_tokens.parse_object("t", spec, stored).waiting == current.waiting
    assert join_tokens.parse_object("t", spec, {}).waiting == (), "as an earlier release wrote it"


@given(
    uses=st.integers(1, 3),
    asks=st.lists(
        st.tuples(st.sampled_from(["edge-1", "edge-2", "edge-3", "edge-4"]), st.sampled_from([MINE, OTHER])),
        max_size=12,
    ),
)
def test_a_token_is_consumed_at_most_as_often_as_it_says_and_once_per_node(
    uses: int, asks: list[tuple[str, str]]
) -> None:
    current, nodes, consumed = token(uses=uses), dict[str, EnrolledNode](), list[str]()
    for node, key in asks:
        found = join_tokens.decide(current, SECRET, nodes.get(node), node, key, now_ms=NOW)
        if found.consumes:
            consumed.append(node)
            current = token(uses=uses, used=(*current.used, Use(node, key)))
        if found.outcome is Outcome.ISSUE:
            nodes.setdefault(node, EnrolledNode(key, False))
            assert nodes[node].approved_key == key
    assert len(consumed) == len(set(consumed)) <= uses


@pytest.mark.parametrize("text", ["", "skr1.a.b.c", "skr2.abcd." + "s" * 32 + "." + "0" * 64, "x" * 10_000])
def test_what_is_no_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(errors.InputError, match="skr1") as raised:
        join_tokens.parse(text)
    assert "ssss" not in str(raised.value)


def test_a_token_survives_being_text() -> None:
    made = join_tokens.Token("abcd1234", SECRET, MINE)
    assert join_tokens.parse(f" {made}\n") == made


@pytest.mark.parametrize(
    ("pattern", "node", "fits"),
    [
        ("edge-*", "edge-", True),
        ("edge-?", "edge-1", True),
        ("edge-?", "edge-12", False),
        ("*", "edge.north", True),
        ("edge-[a-z]", "edge-b", False),
        ("edge-[!a]", "edge-b", False),
        ("*[0-9]*", "edge-1", False),
    ],
)
def test_a_pattern_has_two_wildcards_and_no_classes(pattern: str, node: str, fits: bool) -> None:
    decision = join_tokens.decide(token(node_pattern=pattern), SECRET, None, node, MINE, now_ms=NOW)
    assert decision.reason is (Reason.TOKEN_VALID if fits else Reason.TOKEN_FOR_OTHERS)
