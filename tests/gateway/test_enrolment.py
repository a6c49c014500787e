"""Who gets into the fleet, comes back, waits, or loses what he had: real gateways, real certificates."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import gateway_tls
import grpc
import pytest
import selection
import valkey
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from gateway_tls import Gateway, until

from skerry.adapters import pki
from skerry.core import errors, identity
from skerry.proto import fleet_pb2


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    server = valkey.Valkey()
    yield server.url
    server.close()


@pytest.fixture(scope="module", params=selection.TRANSPORTS)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Gateway]:
    made = gateway_tls.with_three_nodes(tmp_path_factory.mktemp("gateway"), redis_url, request.param)
    yield made
    assert made.stop() == 0


def test_a_node_gets_its_labels_and_key_from_the_server_side(gateway: Gateway) -> None:
    spec = gateway.store.get("EdgeNode", "edge-1").spec
    assert spec["labels"] == {"site": "north"}
    leaf = x509.load_pem_x509_certificate(gateway.identity("edge-1").certificate or b"")
    peer = pki.peer_of(leaf.public_bytes(serialization.Encoding.DER))
    assert (str(peer.id), peer.key) == ("spiffe://skerry.local/tenant/default/node/edge-1", spec["approvedKey"])


def test_an_enrolled_node_renews_and_reads_the_repository(gateway: Gateway) -> None:
    me = gateway.identity("edge-1")
    assert gateway.renew(me) == "OK"
    assert gateway.page(me, "/repository/metadata/none.json") == "404"


def test_a_revoked_node_loses_the_stream_that_is_open(gateway: Gateway) -> None:
    token = gateway.token("stream", uses=1)
    assert gateway.enrol("edge-9", token)[0] == "ENROLLED"
    me = gateway.identity("edge-9")
    until(lambda: gateway.sync(me, "edge-9") == "OK")  # the gateway's watch has seen the node
    with grpc.secure_channel(gateway.addresses["listen"], me.credentials()) as channel:
        method = channel.stream_stream(
            gateway_tls.FLEET + "Sync", response_deserializer=fleet_pb2.DesiredState.FromString
        )
        sequence = iter(range(1, 10_000))

        def reports() -> Iterator[bytes]:
            for number in sequence:
                yield gateway_tls.report("edge-9", number)
                time.sleep(0.2)

        call = method(reports(), timeout=60)
        next(call)
        gateway.store.patch("EdgeNode", "edge-9", manager="operator", spec={"revoked": True})
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "revoked" in raised.value.details()


def test_a_deleted_node_does_not_come_back_through_the_stream_that_it_had(gateway: Gateway) -> None:
    assert gateway.enrol("edge-d", gateway.token("delete", uses=1))[0] == "ENROLLED"
    me = gateway.identity("edge-d")
    until(lambda: gateway.sync(me, "edge-d") == "OK")
    with grpc.secure_channel(gateway.addresses["listen"], me.credentials()) as channel:
        method = channel.stream_stream(
            gateway_tls.FLEET + "Sync", response_deserializer=fleet_pb2.DesiredState.FromString
        )
        go_on = threading.Event()

        def reports() -> Iterator[bytes]:
            yield gateway_tls.report("edge-d", 10)
            go_on.wait(30)

        call = method(reports(), timeout=60)
        next(call)
        gateway.store.delete("EdgeNode", "edge-d")
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        go_on.set()
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    time.sleep(0.5)  # what the closing stream writes, it has written by now
    assert "edge-d" not in [one.name for one in gateway.store.list("EdgeNode")]


def test_a_node_whose_object_is_deleted_loses_its_stream_and_comes_back_with_another_token(gateway: Gateway) -> None:
    assert gateway.enrol("edge-10", gateway.token("gone01"))[0] == "ENROLLED"
    me = gateway.identity("edge-10")
    until(lambda: gateway.sync(me, "edge-10") == "OK")
    with grpc.secure_channel(gateway.addresses["listen"], me.credentials()) as channel:
        method = channel.stream_stream(
            gateway_tls.FLEET + "Sync", response_deserializer=fleet_pb2.DesiredState.FromString
        )
        open_end = threading.Event()

        def reports() -> Iterator[bytes]:
            yield gateway_tls.report("edge-10", 50)
            open_end.wait(30)

        call = method(reports(), timeout=60)
        next(call)
        gateway.store.delete("EdgeNode", "edge-10")
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        open_end.set()
        assert (raised.value.code(), "enrol it" in raised.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, True)
    until(lambda: gateway.upload(me, "edge-10") == "PERMISSION_DENIED")
    assert "edge-10" not in [one.name for one in gateway.store.list("EdgeNode")]
    assert gateway.enrol("edge-10", gateway.token("gone02"))[0] == "ENROLLED"
    until(lambda: gateway.sync(gateway.identity("edge-10"), "edge-10") == "OK")


def test_an_approved_key_gets_a_certificate_without_a_token(gateway: Gateway) -> None:
    assert gateway.enrol("edge-11", gateway.token("lent01"))[0] == "ENROLLED"
    gateway.store.delete("JoinToken", "lent01")
    (gateway.folder / "nodes" / "edge-11" / "cert.pem").unlink()
    assert gateway.enrol("edge-11", "")[0] == "ENROLLED"
    until(lambda: gateway.sync(gateway.identity("edge-11"), "edge-11") == "OK")
    assert gateway.enrol("edge-12", "", gateway.folder / "nodes" / "edge-11")[0] == "REFUSED"


def test_a_gateway_with_other_names_or_a_clock_that_is_wrong_is_named(gateway: Gateway, tmp_path: Path) -> None:
    token = gateway.token("named1")
    shown = {name: (gateway.pki / name).read_bytes() for name in ("tls.crt", "tls.key")}
    for names, made_at, said in (
        (["elsewhere.example"], gateway_tls.NOW, "other names"),
        (["127.0.0.1"], gateway_tls.NOW + timedelta(days=9), "is the clock right"),
    ):
        other = pki.make_server_certificate(gateway.ca, names, now=made_at)
        (gateway.pki / "tls.key").write_bytes(other.key)
        (gateway.pki / "tls.crt").write_bytes(other.certificate)
        until(lambda said=said: said in gateway.enrol("edge-13", token, tmp_path)[1], 20)
    for name, data in shown.items():
        (gateway.pki / name).write_bytes(data)
    until(lambda: gateway.enrol("edge-13", token, tmp_path)[0] == "ENROLLED", 20)


def test_a_reset_node_waits_until_a_person_approves_its_new_key(gateway: Gateway, tmp_path: Path) -> None:
    token = gateway.token("reset", uses=1)
    assert gateway.enrol("edge-7", token, tmp_path / "first")[0] == "ENROLLED"
    state, reason = gateway.enrol("edge-7", token, tmp_path / "second")
    assert (state, "skerry nodes approve edge-7" in reason) == ("WAITING", True)
    waiting = gateway.store.get("EdgeNode", "edge-7").status["waitingKey"]
    gateway.store.patch("EdgeNode", "edge-7", manager="operator", spec={"approvedKey": waiting})
    assert gateway.enrol("edge-7", token, tmp_path / "second")[0] == "ENROLLED"
    old = gateway_tls.Caller.read(tmp_path / "first")
    until(lambda: gateway.sync(old, "edge-7") == "PERMISSION_DENIED")


def test_a_lost_answer_can_be_asked_for_again_and_the_token_is_consumed_once(gateway: Gateway, tmp_path: Path) -> None:
    token = gateway.token("lost", uses=1)
    for _ in range(2):
        assert gateway.enrol("edge-6", token, tmp_path / "node")[0] == "ENROLLED"
    assert [use["name"] for use in gateway.store.get("JoinToken", "lost").status["nodes"]] == ["edge-6"]
    assert gateway.enrol("edge-5", token, tmp_path / "late")[0] == "REFUSED"
    assert "edge-5" not in [node.name for node in gateway.store.list("EdgeNode")]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        pytest.param("late1", {"hours": -1.0}, "expired", id="expired"),
        pytest.param("other1", {"pattern": "cam-*"}, "cam-*", id="for other names"),
    ],
)
def test_a_token_that_does_not_fit_is_refused_for_good(
    gateway: Gateway, name: str, options: dict, reason: str, tmp_path: Path
) -> None:
    state, said = gateway.enrol("edge-8", gateway.token(name, **options), tmp_path)
    assert (state, reason in said) == ("REFUSED", True)


def test_a_gateway_that_does_not_show_the_pinned_ca_is_told_nothing(gateway: Gateway, tmp_path: Path) -> None:
    token = gateway.token("pinned", uses=1)
    state, reason = gateway.enrol("edge-4", token[:-64] + "0" * 64, tmp_path)
    assert (state, "somebody stands between" in reason) == ("FAILED", True)
    assert "nodes" not in gateway.store.get("JoinToken", "pinned").status


def test_two_nodes_that_come_at_once_with_one_use_do_not_both_get_in(gateway: Gateway, tmp_path: Path) -> None:
    token, found = gateway.token("race", uses=1), dict[str, str]()

    def come(node: str) -> None:
        found[node] = gateway.enrol(node, token, tmp_path / node)[0]

    threads = [threading.Thread(target=come, args=(f"race-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.values()) == ["ENROLLED", "REFUSED", "REFUSED", "REFUSED"]


@pytest.mark.parametrize(
    "uri", ["", "spiffe://a/tenant/b/node/", "spiffe://a/tenant/b/node/../x", "http://a/tenant/b/node/c"]
)
def test_an_id_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(errors.InputError):
        identity.parse(uri)
