"""Who may speak for a node, decided from a verified certificate and the node's object; and the pages behind it."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from skerry.adapters import pki
from skerry.core import errors
from skerry.gateway import desired
from skerry.gateway.identity import Guard, Guarded, certificate_status
from skerry.rpc.methods import Call, CallError, Status

NOW = datetime.now(UTC)


@dataclass
class View:
    """What the objects say: (approved key, is it revoked) by node."""

    nodes: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def approval(self, node: str) -> tuple[str, bool] | None:
        return self.nodes.get(node)


@dataclass
class Knock:
    peer_certificate: bytes | None


@pytest.fixture
def certificate(tmp_path: Path) -> bytes:
    """Of edge-1, as the transport hands it on (DER)."""
    ca = pki.make_ca("test fleet", now=NOW)
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    (tmp_path / "ca.key").write_bytes(ca.key)
    uri = "spiffe://skerry.local/tenant/default/node/edge-1"
    made = pki.Authority(tmp_path).issue(pki.make_request(pki.make_key()), uri, timedelta(days=1), now=NOW)
    return ssl.PEM_cert_to_DER_cert(made.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")


def guard(view: View, *, enforced: bool = True) -> Guard:
    return Guard(cast(desired.View, view), enforced=enforced)


def call(certificate: bytes | None) -> Call:
    return cast(Call, Knock(certificate))


def known(certificate: bytes, *, revoked: bool = False) -> View:
    return View({"edge-1": (pki.peer_of(certificate).key, revoked)})


def test_a_node_speaks_for_itself_and_for_no_other(certificate: bytes) -> None:
    door = guard(known(certificate))
    peer = door.check(call(certificate), "edge-1")
    assert peer is not None and peer.id.node == "edge-1"
    with pytest.raises(CallError, match="node edge-1 may not speak for 'edge-2'") as refused:
        door.check(call(certificate), "edge-2")
    assert refused.value.status is Status.PERMISSION_DENIED


def test_without_a_certificate_nobody_is_a_node(certificate: bytes) -> None:
    with pytest.raises(CallError, match="a client certificate is needed: enrol this node") as refused:
        guard(known(certificate)).check(call(None), "edge-1")
    assert refused.value.status is Status.UNAUTHENTICATED


def test_where_nothing_is_enforced_everybody_is_believed() -> None:
    door = guard(View(), enforced=False)
    assert door.check(call(None), "edge-7") is None
    door.check_again(None, "edge-7")
    assert certificate_status(None) == {}


def test_a_revoked_node_is_refused_also_where_nothing_is_enforced() -> None:
    view = View({"edge-7": ("", False)})
    door = guard(view, enforced=False)
    door.check_again(door.check(call(None), "edge-7"), "edge-7")
    view.nodes["edge-7"] = ("", True)
    for again in (lambda: door.check(call(None), "edge-7"), lambda: door.check_again(None, "edge-7")):
        with pytest.raises(CallError, match="node edge-7 is revoked") as refused:
            again()
        assert refused.value.status is Status.PERMISSION_DENIED
    assert door.check(call(None), "edge-8") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda key: {}, "is not known here: enrol it"),
        (lambda key: {"edge-1": (key, True)}, "is revoked"),
        (lambda key: {"edge-1": ("another", False)}, "is known with another key"),
    ],
)
def test_what_is_said_of_a_node_counts_at_once(certificate: bytes, change: Any, said: str) -> None:
    view = known(certificate)
    door = guard(view)
    peer = door.check(call(certificate), "edge-1")
    door.check_again(peer, "edge-1")
    assert certificate_status(peer).keys() == {"certNotAfterUnixMs"}
    view.nodes = change(pki.peer_of(certificate).key)
    with pytest.raises(CallError, match=said) as again:
        door.check_again(peer, "edge-1")
    with pytest.raises(CallError, match=said) as anew:
        door.check(call(certificate), "edge-1")
    assert again.value.status is anew.value.status is Status.PERMISSION_DENIED
    with pytest.raises(errors.RejectedError, match=said):
        door.admit(certificate)


def page(application: Guarded, certificate: bytes | None, kind: str = "http") -> tuple[int, str]:
    """(status, text) of one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asyncio.run(application({"type": kind, "state": {"peer_certificate": certificate}}, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


async def inside(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the file"})


def test_pages_behind_the_guard_say_why_somebody_is_not_let_in(certificate: bytes) -> None:
    view = known(certificate)
    application = Guarded(inside, guard(view))
    assert page(application, certificate) == (200, "the file")
    assert page(application, None) == (401, "a client certificate is needed: enrol this node\n")
    view.nodes["edge-1"] = (view.nodes["edge-1"][0], True)
    assert page(application, certificate) == (403, "node edge-1 is revoked\n")
    assert page(application, None, "lifespan") == (200, "the file")
