"""Which nodes count: a table, one row per sentence."""

import pytest

from skerry.core import membership
from skerry.core.membership import Standing
from skerry.core.specs import EdgeNode

KEY = "sha256:" + "a" * 64
APPROVED = EdgeNode("approved", approved_key=KEY, last_seen_ms=1)


@pytest.mark.parametrize(
    ("node", "others", "expected"),
    [
        pytest.param(APPROVED, [], Standing.MEMBER, id="an approved node counts"),
        pytest.param(EdgeNode("new", approved_key=KEY), [], Standing.MEMBER, id="also before its first report"),
        pytest.param(
            EdgeNode("out", approved_key=KEY, revoked=True), [], Standing.REVOKED, id="a revoked one does not"
        ),
        pytest.param(EdgeNode("p"), [APPROVED], Standing.NOT_APPROVED, id="nor one that waits for approval"),
        pytest.param(
            EdgeNode("old", last_seen_ms=1), [APPROVED], Standing.NOT_APPROVED, id="even if it reported without a key"
        ),
        pytest.param(EdgeNode("up", last_seen_ms=1), [], Standing.MEMBER, id="where no node has a key, who reported"),
        pytest.param(EdgeNode("idle"), [], Standing.NEVER_REPORTED, id="and nobody else"),
        pytest.param(EdgeNode("up", last_seen_ms=1, revoked=True), [], Standing.REVOKED, id="revoked there, too"),
    ],
)
def test_who_counts(node: EdgeNode, others: list[EdgeNode], expected: Standing) -> None:
    nodes = [node, *others]
    assert membership.standing(node, certificates=membership.uses_certificates(nodes)) is expected
    assert (node in membership.members(nodes)) is (expected is Standing.MEMBER)


def test_members_keep_their_order_and_every_standing_has_words() -> None:
    nodes = [EdgeNode(name, approved_key=KEY) for name in "cab"]
    assert [node.name for node in membership.members(nodes)] == ["c", "a", "b"]
    assert set(membership.REASONS) == set(Standing)
