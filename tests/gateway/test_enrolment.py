"""Who gets into the fleet, and who may speak for which node at which door: real gateways, real certificates."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import gateway_tls
import grpc
import pytest
import valkey
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from gateway_tls import Gateway

from skerry.adapters import pki
from skerry.core import errors, identity
from skerry.proto import fleet_pb2

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    server = valkey.Valkey()
    yield server.url
    server.close()


@pytest.fixture(scope="module", params=["h2", "grpcio"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"), redis_url, request.param)
    made.start()
    token = made.token("matrix", uses=3, site="north")
    for node in ("edge-1", "edge-2", "edge-3"):
        assert made.enrol(node, token)[0] == "ENROLLED"
    made.store.patch("EdgeNode", "edge-3", manager="operator", spec={"revoked": True})
    yield made
    assert made.stop() == 0


def until(condition: object, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_node_gets_its_labels_and_key_from_the_server_side(gateway: Gateway) -> None:
    spec = gateway.store.get("EdgeNode", "edge-1").spec
    assert spec["labels"] == {"site": "north"}
    leaf = x509.load_pem_x509_certificate(gateway.identity("edge-1").certificate or b"")
    peer = pki.peer_of(leaf.public_bytes(serialization.Encoding.DER))
    assert (str(peer.id), peer.key) == ("spiffe://skerry.local/tenant/default/node/edge-1", spec["approvedKey"])


NODES = ("edge-1", "edge-2")


@pytest.mark.parametrize("caller", NODES)
@pytest.mark.parametrize("spoken_for", NODES)
def test_only_the_diagonal_of_nodes_and_routes_is_open(gateway: Gateway, caller: str, spoken_for: str) -> None:
    wanted = "OK" if caller == spoken_for else "PERMISSION_DENIED"
    me = gateway.identity(caller)
    assert (gateway.sync(me, spoken_for), gateway.upload(me, spoken_for)) == (wanted, wanted)


def test_an_enrolled_node_renews_and_reads_the_repository(gateway: Gateway) -> None:
    me = gateway.identity("edge-1")
    assert gateway.renew(me) == "OK"
    assert gateway.page(me, "/repository/metadata/none.json") == "404"


STRANGERS = {
    "no certificate": lambda gateway: gateway_tls.Caller(gateway.ca.certificate, None, None),
    "another CA": lambda gateway: gateway.forge(
        "spiffe://skerry.local/tenant/default/node/edge-1",
        ca=pki.make_ca("other", now=gateway_tls.NOW),
        folder="other",
    ),
    "an expired certificate": lambda gateway: gateway.forge(
        "spiffe://skerry.local/tenant/default/node/edge-1", days=-1, folder="expired"
    ),
}


@pytest.mark.parametrize("who", STRANGERS)
def test_whom_the_fleet_did_not_certify_does_not_get_through_the_handshake(gateway: Gateway, who: str) -> None:
    caller = STRANGERS[who](gateway)
    assert (gateway.sync(caller, "edge-1"), gateway.upload(caller, "edge-1")) == ("UNAVAILABLE", "UNAVAILABLE")
    assert gateway.page(caller if caller.certificate else None, "/repository/metadata/none.json").startswith("refused")


REFUSED = {
    "a revoked node": lambda gateway: gateway.identity("edge-3"),
    "the same name with another key": lambda gateway: gateway.forge(
        "spiffe://skerry.local/tenant/default/node/edge-1", folder="key"
    ),
    "another tenant": lambda gateway: gateway.forge("spiffe://skerry.local/tenant/b/node/edge-1", folder="tenant"),
    "a node that nobody knows": lambda gateway: gateway.forge(
        "spiffe://skerry.local/tenant/default/node/ghost", folder="ghost"
    ),
}


@pytest.mark.parametrize("who", REFUSED)
def test_a_certificate_alone_opens_nothing(gateway: Gateway, who: str) -> None:
    caller = REFUSED[who](gateway)
    for node in ("edge-1", "edge-3", "ghost"):
        assert gateway.sync(caller, node) == "PERMISSION_DENIED"
        assert gateway.upload(caller, node) == "PERMISSION_DENIED"
    assert gateway.renew(caller) == "PERMISSION_DENIED"
    assert gateway.page(caller, "/repository/metadata/timestamp.json") == "403"
    assert gateway.page(caller, "/metrics") == "403"


def test_a_certificate_that_names_no_node_is_unauthenticated(gateway: Gateway) -> None:
    caller = gateway.forge("https://example.com/edge-1", folder="odd")
    assert gateway.sync(caller, "edge-1") == "UNAUTHENTICATED"
    assert gateway.page(caller, "/repository/metadata/timestamp.json") == "401"


def test_the_repository_takes_no_tls_below_1_3(gateway: Gateway) -> None:
    assert gateway.page(gateway.identity("edge-1"), "/healthz", ssl.TLSVersion.TLSv1_2).startswith("refused")


def test_no_other_door_takes_tls_below_1_3(gateway: Gateway) -> None:
    # grpcio cannot be told a lowest version of TLS
    doors = ["jobs"] if gateway.transport == "grpcio" else ["listen", "enrol", "jobs"]
    for door in doors:
        assert not _handshake(gateway, door, ssl.TLSVersion.TLSv1_2), door
        assert _handshake(gateway, door, ssl.TLSVersion.TLSv1_3), door


def _handshake(gateway: Gateway, door: str, highest: ssl.TLSVersion) -> bool:
    host, _, port = gateway.addresses[door].rpartition(":")
    context = ssl.create_default_context(cadata=gateway.ca.certificate.decode())
    context.maximum_version = highest
    gateway.identity("edge-1").load(context, gateway.folder)
    try:
        with socket.create_connection((host, int(port)), 10) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except OSError:
        return False
    return True


def test_health_is_a_plain_local_page(gateway: Gateway) -> None:
    import urllib.request

    for page in ("healthz", "readyz", "metrics"):
        with urllib.request.urlopen(f"http://{gateway.addresses['health']}/{page}", timeout=10) as answer:
            assert answer.status == 200


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
    assert gateway.enrol("edge-5", token, tmp_path / "late")[0] == "WAITING"


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
    assert sorted(found.values()) == ["ENROLLED", "WAITING", "WAITING", "WAITING"]


def test_a_renewed_server_certificate_is_shown_without_a_restart(gateway: Gateway) -> None:
    me = gateway.identity("edge-1")
    fresh = pki.make_server_certificate(gateway.ca, ["127.0.0.1", "renewed.example"], now=gateway_tls.NOW)
    (gateway.pki / "tls.key").write_bytes(fresh.key)
    (gateway.pki / "tls.crt").write_bytes(fresh.certificate)

    def shown(address: str) -> bool:
        host, port = address.split(":")
        return "renewed.example" in str(_names(host, int(port)))

    until(lambda: shown(gateway.addresses["http"]) and shown(gateway.addresses["enrol"]), 20)
    assert gateway.sync(me, "edge-1") == "OK"


def _names(host: str, port: int) -> object:
    found = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, port)).encode())
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_server_certificate_without_its_ca_still_shows_the_ca_that_tokens_pin(tmp_path: Path, redis_url: str) -> None:
    made = Gateway(tmp_path, redis_url)
    leaf = (made.pki / "tls.crt").read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    (made.pki / "tls.crt").write_text(leaf)
    made.start()
    try:
        assert made.enrol("edge-1", made.token("leaf01"))[0] == "ENROLLED"
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SKERRY_CLIENT_CA": ""}, "go together"),
        ({"SKERRY_ISSUER": ""}, "SKERRY_ISSUER"),
        ({"SKERRY_TICKETS_KEY": ""}, "SKERRY_TICKETS_KEY"),
    ],
)
def test_settings_that_do_not_belong_together_are_named(tmp_path: Path, settings: dict, message: str) -> None:
    from skerry.adapters.objects.memory import MemoryObjects
    from skerry.gateway import listeners
    from skerry.gateway.settings import Settings

    made = Gateway(tmp_path, "unix:///none")
    given = {key.removeprefix("SKERRY_").lower(): value for key, value in (made._environment | settings).items()}
    kept = {key: value for key, value in given.items() if value and key in Settings.model_fields}
    parts = listeners.Parts(MemoryObjects(), None, None, None, None, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match=message):
        listeners.Listeners(Settings(**kept), parts)


def test_without_certificates_the_gateway_stays_on_loopback() -> None:
    from skerry.adapters.objects.memory import MemoryObjects
    from skerry.gateway import listeners
    from skerry.gateway.settings import Settings

    plain = {"objects": "sqlite:///x", "blobs": "file:///x", "redis_url": "unix:///x", "repository": "file:///x"}
    parts = listeners.Parts(MemoryObjects(), None, None, None, None, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match="SKERRY_INSECURE"):
        listeners.Listeners(Settings(**plain, listen="0.0.0.0:1"), parts)
    listeners.Listeners(Settings(**plain, listen="0.0.0.0:1", insecure=True), parts)


@pytest.mark.parametrize(
    "uri", ["", "spiffe://a/tenant/b/node/", "spiffe://a/tenant/b/node/../x", "http://a/tenant/b/node/c"]
)
def test_an_id_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(errors.InputError):
        identity.parse(uri)
