"""One token for a whole fleet: its object stays small, what is refused is held up and what is let in is not, and the
list of members costs by change."""

import json
from pathlib import Path

import pytest
from enrolment_desk import SECRET, Desk

from skerry.adapters import pki
from skerry.core import errors, join_tokens
from skerry.gateway import allowlist, desired, rates
from skerry.gateway.identity import Guard
from skerry.proto import fleet_pb2


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _token(desk: Desk, name: str = "t00001") -> join_tokens.JoinToken:
    found = desk.objects.get("JoinToken", name)
    return join_tokens.parse_object(name, found.spec, found.status)


def _size(desk: Desk, name: str) -> int:
    found = desk.objects.get("JoinToken", name)
    return len(json.dumps(found.spec)) + len(json.dumps(found.status))


def test_a_token_of_ten_thousand_uses_stays_small_and_counts_to_the_last(desk: Desk) -> None:
    desk.token("many00", uses=10_000)
    use = join_tokens.use_json(join_tokens.Use("n" * 253, "sha256:" + "a" * 64), desk.now_ms)
    waiting = [join_tokens.Waiting("w" * 253, "sha256:" + "b" * 64, desk.now_ms)] * join_tokens.MAX_WAITING
    told = {"nodes": [use] * 24, "used": 9_998, "waiting": join_tokens.waiting_json(waiting)}
    desk.objects.patch("JoinToken", "many00", manager="gateway", status=told)
    for number in (1, 2):
        assert desk.come(f"edge-{number}", pki.make_key(), token="many00").certificate
    assert (_token(desk, "many00").used_count, len(desk.used_by("many00"))) == (10_000, join_tokens.MAX_LISTED)
    assert _size(desk, "many00") <= 16 * 1024
    with pytest.raises(errors.ForbiddenError, match="used up"):
        desk.come("edge-3", pki.make_key(), token="many00")


def test_a_token_names_its_newest_uses_and_each_node_its_token(desk: Desk) -> None:
    desk.token("many00", uses=30)
    keys = [pki.make_key() for _ in range(30)]
    for number, key in enumerate(keys):
        desk.come(f"edge-{number}", key, token="many00")
        assert _token(desk, "many00").used_count == number + 1
    assert desk.used_by("many00") == [f"edge-{number}" for number in range(6, 30)]
    assert {node.labels[join_tokens.JOINED_BY] for node in desk.objects.list("EdgeNode")} == {"many00"}
    assert desk.come("edge-0", keys[0], token="many00").certificate, "it is known: its answer is repeated"
    assert _token(desk, "many00").used_count == 30


def test_a_token_of_the_release_before_that_names_all_its_uses_is_read_and_shrinks(desk: Desk) -> None:
    desk.token("old000", uses=1_000)
    uses = [join_tokens.use_json(join_tokens.Use(f"old-{n}", "sha256:" + "a" * 64), n) for n in range(998)]
    desk.objects.patch("JoinToken", "old000", manager="gateway", status={"nodes": uses})
    assert _token(desk, "old000").used_count == 998
    desk.come("edge-1", pki.make_key(), token="old000")
    assert (_token(desk, "old000").used_count, len(desk.used_by("old000"))) == (999, join_tokens.MAX_LISTED)
    desk.come("edge-2", pki.make_key(), token="old000")
    with pytest.raises(errors.ForbiddenError, match="used up"):
        desk.come("edge-3", pki.make_key(), token="old000")


def test_good_tokens_from_one_address_are_not_held_up_and_bad_ones_are(desk: Desk) -> None:
    """A hundred nodes of one site, at one moment: more than the address's burst."""
    desk.token("many00", uses=1_000)
    asked = fleet_pb2.EnrolRequest(token_id="many00", secret=SECRET, csr=pki.make_request(pki.make_key()))
    desk.desk._by_key = rates.Rates(rates.Rate(0.0, 10_000.0))  # it is one key for all, for the sake of speed
    desk.desk._by_address = rates.Rates(rates.Rate(20.0, 40.0), clock=lambda: 0.0)
    for number in range(100):
        asked.node = f"edge-{number}"
        assert desk.desk.enrol(asked, "10.0.0.7:999").certificate
    asked.secret = "guessed"
    told: list[type[Exception]] = []
    for number in range(41):
        asked.node = f"spy-{number}"
        with pytest.raises(errors.SkerryError) as found:
            desk.desk.enrol(asked, "10.0.0.7:999")
        told.append(found.type)
    assert told[0] is errors.ForbiddenError
    assert told[-1] is errors.OverloadedError


def test_the_members_list_is_made_anew_when_somebody_is_let_in_or_kept_out_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, made, real = desired.View(), 0, allowlist.render

    def counted(guard: Guard) -> bytes:
        nonlocal made
        made += 1
        return real(guard)

    monkeypatch.setattr(allowlist, "render", counted)
    listed = allowlist._Listed(Guard(view, "skerry.local", "default", enforced=True))

    def look() -> int:
        view.apply(*desk.objects.changes(view.revision, timeout_s=0, kinds=desired.KINDS))
        for _ in range(3):
            assert listed.now()[0] == real(listed._guard)
        return made

    desk.token()
    desk.come("edge-1", pki.make_key())
    assert look() == 1
    desk.objects.patch("EdgeNode", "edge-1", manager="gateway", status={"connected": True})
    desk.objects.patch("EdgeNode", "edge-1", manager="operator", spec={"cordoned": True})
    assert look() == 1
    for count, change in ((2, {"revoked": True}), (3, {"revoked": False}), (4, {"approvedKey": "sha256:" + "c" * 64})):
        desk.objects.patch("EdgeNode", "edge-1", manager="operator", spec=change)
        assert look() == count
    desk.objects.delete("EdgeNode", "edge-1")
    assert look() == 5
