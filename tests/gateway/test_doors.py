"""Who may speak for which node at which door of a gateway, and what the doors show: real certificates."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import gateway_tls
import pytest
import selection
import valkey
from cryptography import x509
from gateway_tls import Gateway, until

from skerry.adapters import pki
from skerry.core import errors


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


NODES = ("edge-1", "edge-2")


@pytest.mark.parametrize("caller", NODES)
@pytest.mark.parametrize("spoken_for", NODES)
def test_only_the_diagonal_of_nodes_and_routes_is_open(gateway: Gateway, caller: str, spoken_for: str) -> None:
    wanted = "OK" if caller == spoken_for else "PERMISSION_DENIED"
    me = gateway.identity(caller)
    assert (gateway.sync(me, spoken_for), gateway.upload(me, spoken_for)) == (wanted, wanted)


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
    parts = listeners.Services(MemoryObjects(), None, None, None, None, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match=message):
        listeners.Listeners(Settings(**kept), parts)


def test_without_certificates_the_gateway_stays_on_loopback() -> None:
    from skerry.adapters.objects.memory import MemoryObjects
    from skerry.gateway import listeners
    from skerry.gateway.settings import Settings

    plain = {"objects": "sqlite:///x", "blobs": "file:///x", "redis_url": "unix:///x", "repository": "file:///x"}
    parts = listeners.Services(MemoryObjects(), None, None, None, None, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match="SKERRY_INSECURE"):
        listeners.Listeners(Settings(**plain, listen="0.0.0.0:1"), parts)
    listeners.Listeners(Settings(**plain, listen="0.0.0.0:1", insecure=True), parts)
