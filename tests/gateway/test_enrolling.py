"""The enrolment desk by itself: what stands in objects before a certificate leaves, races, lost answers, floods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enrolment_desk import DAY_MS, SECRET, Desk

from skerry.adapters import pki
from skerry.adapters.objects.protocol import Object
from skerry.core import errors, identity, join_tokens
from skerry.gateway import enrol
from skerry.proto import fleet_pb2


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.token()
    return made


def test_a_membership_is_whole(desk: Desk) -> None:
    made = desk.come("edge-1", pki.make_key())
    assert (made.ca, made.trust_root) == ((desk.desk._policy.authority.folder / "ca.crt").read_bytes(), b"{}")
    assert made.not_after_unix_ms - desk.now_ms == 30 * DAY_MS
    assert made.renew_after_unix_ms - desk.now_ms == 15 * DAY_MS


def test_a_node_whose_answer_was_lost_before_its_object_was_made_gets_in_with_the_same_key_only(desk: Desk) -> None:
    mine, create = pki.make_key(), desk.objects.create

    def dies(*given: Any, **named: Any) -> Object:
        raise errors.UnavailableError("the gateway was killed here")

    desk.objects.create = dies
    with pytest.raises(errors.UnavailableError):
        desk.come("edge-1", mine)
    desk.objects.create = create
    with pytest.raises(errors.ForbiddenError, match="another key"):
        desk.come("edge-1", pki.make_key())
    assert desk.objects.list("EdgeNode") == []
    assert desk.come("edge-1", mine).certificate
    assert desk.used_by() == ["edge-1"]


def test_of_two_gateways_that_see_the_last_use_at_once_one_decides_again(desk: Desk, tmp_path: Path) -> None:
    other, get = Desk(tmp_path, desk.objects), desk.objects.get
    raced = False

    def overtaken(kind: str, name: str) -> Object:
        nonlocal raced
        found = get(kind, name)
        if kind == "JoinToken" and not raced:
            raced = True
            other.come("edge-2", pki.make_key())
        return found

    desk.objects.get = overtaken
    with pytest.raises(errors.ForbiddenError, match="used up"):
        desk.come("edge-1", pki.make_key())
    assert desk.used_by() == ["edge-2"]


def test_a_store_that_never_agrees_is_an_answer_to_come_back_later(desk: Desk) -> None:
    def contested(*given: Any, **named: Any) -> Object:
        raise errors.ConflictError("somebody was faster")

    desk.objects.patch = contested
    with pytest.raises(errors.UnavailableError, match="at once"):
        desk.come("edge-1", pki.make_key())


def test_a_key_that_waits_is_written_once_however_often_it_asks(desk: Desk) -> None:
    desk.come("edge-1", pki.make_key())
    reset = pki.make_key()
    for _ in range(3):
        with pytest.raises(enrol.WaitingError, match="skerry nodes approve edge-1"):
            desk.come("edge-1", reset)
    node = desk.objects.get("EdgeNode", "edge-1")
    assert node.status["waitingKey"] == pki.authority.digest_of_request(pki.make_request(reset))
    version = node.resource_version
    with pytest.raises(enrol.WaitingError):
        desk.come("edge-1", reset)
    assert desk.objects.get("EdgeNode", "edge-1").resource_version == version


def test_an_approved_key_comes_back_years_later_without_its_token(desk: Desk) -> None:
    key = pki.make_key()
    desk.come("edge-1", key)
    desk.objects.delete("JoinToken", "t00001")
    desk.now_ms += 700 * DAY_MS
    assert desk.come("edge-1", key, token="", secret="").certificate
    desk.objects.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": True})
    with pytest.raises(errors.ForbiddenError, match="no such join token"):
        desk.come("edge-1", key, token="", secret="")


REFUSED: dict[str, tuple[Callable[[Desk], object], type[Exception]]] = {
    "a token that nobody made": (lambda desk: desk.come("e", pki.make_key(), token="nothing"), errors.ForbiddenError),
    "a token's name that is none": (lambda desk: desk.come("e", pki.make_key(), token="../x"), errors.ForbiddenError),
    "a wrong secret": (lambda desk: desk.come("e", pki.make_key(), secret="no"), errors.ForbiddenError),
    "a node's name that is none": (lambda desk: desk.come("Edge_1", pki.make_key()), errors.InputError),
    "no name": (lambda desk: desk.come("", pki.make_key()), errors.InputError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_who_is_refused_leaves_nothing_behind(desk: Desk, what: str) -> None:
    ask, kind = REFUSED[what]
    with pytest.raises(kind):
        ask(desk)
    assert (desk.objects.list("EdgeNode"), desk.used_by()) == ([], [])


def test_a_certificate_is_renewed_for_its_own_key_alone(desk: Desk) -> None:
    key = pki.make_key()
    me = identity.Peer(
        identity.NodeId("skerry.local", "default", "edge-1"),
        pki.authority.digest_of_request(pki.make_request(key)),
        desk.now_ms + DAY_MS,
    )
    desk.now_ms += DAY_MS
    made = desk.desk.renew(me, fleet_pb2.RenewRequest(csr=pki.make_request(key)))
    assert made.not_after_unix_ms == desk.now_ms + 30 * DAY_MS
    with pytest.raises(errors.RejectedError, match="another key"):
        desk.desk.renew(me, fleet_pb2.RenewRequest(csr=pki.make_request(pki.make_key())))


def test_a_flood_of_guesses_is_turned_away_before_it_costs_anything(desk: Desk) -> None:
    key, refused = pki.make_key(), 0
    asked = fleet_pb2.EnrolRequest(token_id="t00001", secret="guess", node="e", csr=pki.make_request(key))
    for _ in range(300):
        try:
            desk.desk.enrol(asked, "192.0.2.1:1")
        except errors.OverloadedError:
            refused += 1
        except errors.ForbiddenError:
            pass
    assert refused > 280


def test_a_flood_from_one_address_keeps_out_neither_another_site_nor_a_node_that_is_known(desk: Desk) -> None:
    known, new = pki.make_key(), pki.make_key()
    desk.desk._by_address = enrol.Rates(enrol._PER_ADDRESS, clock=lambda: 0.0)
    desk.token("other1", uses=2)
    desk.come("edge-1", known)
    approved = {"edge-1": desk.objects.get("EdgeNode", "edge-1").spec["approvedKey"]}
    desk.desk._approved = lambda node: approved.get(node, "")
    stranger = fleet_pb2.EnrolRequest(token_id="x", secret="guess", node="e", csr=b"none")
    refused = 0
    for number in range(600):
        try:
            desk.desk.enrol(stranger, f"192.0.2.1:{number}")
        except errors.OverloadedError:
            refused += 1
        except errors.InputError:
            pass
    assert refused > 100
    asked = fleet_pb2.EnrolRequest(token_id="other1", secret=SECRET, node="edge-2", csr=pki.make_request(new))
    with pytest.raises(errors.OverloadedError, match="from this address"):
        desk.desk.enrol(asked, "192.0.2.1:9")
    assert desk.desk.enrol(asked, "192.0.2.2:9").certificate
    back = fleet_pb2.EnrolRequest(node="edge-1", csr=pki.make_request(known))
    assert desk.desk.enrol(back, "192.0.2.1:9").certificate, "behind the same address"


def test_a_used_up_token_makes_no_object_whatever_names_it_is_shown(desk: Desk) -> None:
    desk.come("edge-1", pki.make_key())
    key = pki.make_key()
    for number in range(100):
        desk.desk._by_key = enrol.Rates(enrol.Rate(1, 1))
        with pytest.raises(errors.ForbiddenError, match="used up"):
            desk.come(f"phantom-{number}", key)
    assert [node.name for node in desk.objects.list("EdgeNode")] == ["edge-1"]


def test_one_token_lets_only_so_many_known_nodes_wait_with_another_key(desk: Desk) -> None:
    desk.token("many01", uses=join_tokens.MAX_WAITING + 1)
    for number in range(join_tokens.MAX_WAITING + 1):
        desk.come(f"edge-{number}", pki.make_key(), token="many01")
    for number in range(join_tokens.MAX_WAITING):
        with pytest.raises(enrol.WaitingError):
            desk.come(f"edge-{number}", pki.make_key(), token="many01")
    last = f"edge-{join_tokens.MAX_WAITING}"
    with pytest.raises(errors.ForbiddenError, match="16 nodes wait"):
        desk.come(last, pki.make_key(), token="many01")
    assert "waitingKey" not in desk.objects.get("EdgeNode", last).status
