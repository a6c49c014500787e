"""`skerry keys secrets`: made once and never twice, in a cluster or as files; what does not fit any more is told."""

import base64
import contextlib
import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apiserver_process
import pytest
import yaml
from apiserver_process import ApiServer, requires_apiserver
from cli_system import StillSystem
from cryptography import x509

from skerry.adapters import kubernetes, pki
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.trust import ceremony
from skerry.cli.keys import secret_store, secrets
from skerry.core import errors

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

HOSTS = ("skerry-gateway", "skerry-gateway.ns.svc", "10.0.0.1")

ALL = [f"s-{name}" for name in secrets.NAMES]


class MemoryVault:
    """Secrets in memory; dies before the nth creation."""

    def __init__(self, die_at: int = 0) -> None:
        self.kept: dict[str, Mapping[str, bytes]] = {}
        self._count, self._die_at = 0, die_at

    def get(self, name: str) -> Mapping[str, bytes] | None:
        return self.kept.get(name)

    def create(self, name: str, data: Mapping[str, bytes]) -> None:
        self._count += 1
        if self._count == self._die_at:
            raise KeyboardInterrupt
        if name in self.kept:
            raise errors.ConflictError(name)
        self.kept[name] = data


def ensure(store: secret_store.SecretStore, *without: str, now: datetime = NOW) -> secrets.Outcome:
    return secrets.ensure(store, "s", HOSTS, without, now=now)


def is_consistent(store: MemoryVault, tmp: Path) -> bool:
    """A controller that gets these secrets starts, signs and publishes."""
    for folder, name in (("seed", "s-trust"), ("keys/online", "s-keys-online")):
        (tmp / folder).mkdir(parents=True)
        for file, data in store.kept[name].items():
            (tmp / folder / file).write_bytes(data)
    online = ceremony.ensure(MemoryBlobs(), tmp / "keys", now=NOW, seed=tmp / "seed")
    return online.refresh_if_due(now=NOW + timedelta(days=10))


def test_everything_is_made_once_and_kept_by_every_later_run(tmp_path: Path) -> None:
    store = MemoryVault()
    first = ensure(store)
    assert sorted(first.made) == sorted(ALL) and first.kept == first.warnings == ()
    before = dict(store.kept)
    again = ensure(store)
    assert again.made == () and sorted(again.kept) == sorted(ALL)
    assert store.kept == before
    assert is_consistent(store, tmp_path)
    assert len(store.kept["s-tickets"]["key"]) == 32
    password = store.kept["s-valkey"]["password"].decode()
    assert len(password) >= 32 and password.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_run_that_died_is_completed_by_the_next(tmp_path: Path, nth: int) -> None:
    store = MemoryVault(die_at=nth)
    with pytest.raises(KeyboardInterrupt):
        ensure(store)
    before = dict(store.kept)
    assert len(before) == nth - 1
    ensure(store)
    assert sorted(store.kept) == sorted(ALL)
    assert before == {name: store.kept[name] for name in before}
    assert is_consistent(store, tmp_path)
    root = pki.Pair(store.kept["s-issuer"]["ca.crt"], store.kept["s-issuer"]["ca.key"])
    assert root.certificate == store.kept["s-gateway-tls"]["ca.crt"]


def test_a_root_key_that_was_moved_away_is_never_made_again() -> None:
    store = MemoryVault()
    ensure(store)
    for name in ("s-keys-root", "s-keys-publisher"):
        del store.kept[name]
    assert ensure(store).made == ()


def test_online_keys_that_are_gone_are_not_replaced_by_ones_that_nobody_trusts() -> None:
    store = MemoryVault()
    ensure(store)
    del store.kept["s-keys-online"]
    with pytest.raises(errors.RejectedError, match="s-keys-online is gone"):
        ensure(store)


@pytest.mark.parametrize(
    ("without", "reason"),
    [
        (["issuer"], "give gateway-tls too"),
        (["trust"], "belong together.*keys-online, keys-publisher, keys-root"),
        (["keys-root"], "belong together"),
        (["nonsense"], "unknown secret nonsense"),
    ],
)
def test_what_belongs_together_is_given_together(without: list[str], reason: str) -> None:
    store = MemoryVault()
    with pytest.raises(errors.InputError, match=reason):
        ensure(store, *without)
    assert store.kept == {}


def test_what_the_user_gives_is_not_looked_at() -> None:
    store = MemoryVault()
    made = ensure(store, "issuer", "gateway-tls", "valkey").made
    assert sorted(made) == sorted(set(ALL) - {"s-issuer", "s-gateway-tls", "s-valkey"})
    everything = MemoryVault()
    assert ensure(everything, *secrets.NAMES) == secrets.Outcome((), (), ())


def test_the_gateways_certificate_names_every_host_and_follows_from_the_issuer() -> None:
    store = MemoryVault()
    ensure(store)
    chain = x509.load_pem_x509_certificates(store.kept["s-gateway-tls"]["tls.crt"])
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == list(HOSTS)
    assert chain[1] == x509.load_pem_x509_certificate(store.kept["s-issuer"]["ca.crt"])
    chain[0].verify_directly_issued_by(chain[1])


def test_without_a_host_there_is_no_certificate_for_the_gateway() -> None:
    with pytest.raises(errors.InputError, match="--host"):
        secrets.ensure(MemoryVault(), "s", (), (), now=NOW)


@pytest.mark.parametrize(
    ("later", "hosts", "warned"),
    [
        pytest.param(timedelta(0), HOSTS, [], id="nothing at first"),
        pytest.param(timedelta(days=370), HOSTS, ["ends in 27 days"], id="the gateway's certificate near its end"),
        pytest.param(timedelta(0), (*HOSTS, "new.example"), ["does not name new.example"], id="a host was added"),
        pytest.param(
            timedelta(days=3640), HOSTS, ["s-issuer ends in 10 days", "s-gateway-tls ends in"], id="the issuer"
        ),
    ],
)
def test_what_does_not_fit_any_more_is_told_and_kept(
    later: timedelta, hosts: tuple[str, ...], warned: list[str]
) -> None:
    store = MemoryVault()
    ensure(store)
    before = dict(store.kept)
    found = secrets.ensure(store, "s", hosts, (), now=NOW + later).warnings
    assert len(found) == len(warned)
    for text, part in zip(found, warned, strict=True):
        assert part in text
    assert store.kept == before


@pytest.fixture
def still(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


def test_secrets_as_files_are_manifests_for_their_owner_alone(still: StillSystem, tmp_path: Path) -> None:
    words = ("keys", "secrets", "--namespace", "ns", "--host", "gateway", "--out", tmp_path / "out")
    said = still.good(*words)
    assert "move skerry-keys-root to a safe place" in said
    found = {path.stem: yaml.safe_load(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert sorted(found) == sorted(f"skerry-{name}" for name in secrets.NAMES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}
    assert {one["kind"] for one in found.values()} == {"Secret"}
    assert {one["metadata"]["namespace"] for one in found.values()} == {"ns"}
    assert found["skerry-gateway-tls"]["type"] == "kubernetes.io/tls"
    assert base64.b64decode(found["skerry-trust"]["data"]["1.root.json"]).startswith(b"{")
    again = still.good(*words)
    assert again.count("kept ") == 8 and "made" not in again


def test_a_file_that_is_no_secret_is_named(still: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "skerry-trust.yaml").write_text("data: [1, 2]")
    words = ("keys", "secrets", "--namespace", "ns", "--host", "gateway", "--out", tmp_path)
    assert "skerry-trust" in still.bad(2, *words)


def rights(namespace: str) -> dict[str, Any]:
    """As helm/skerry gives them: creation cannot be limited by name, reading is."""
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ALL, "verbs": ["get"]},
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "secrets"}}
    subjects = [{"kind": "ServiceAccount", "name": "secrets", "namespace": namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets"}
    binding = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": subjects}
    return {"apiVersion": "v1", "kind": "List", "items": [{**role, "rules": rules}, binding]}


@requires_apiserver
def test_secrets_in_a_cluster_with_the_rights_of_the_charts_job(
    still: StillSystem, permissive_apiserver: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, namespace = permissive_apiserver, permissive_apiserver.namespace()
    server.kubectl("create", "serviceaccount", "secrets", "-n", namespace)
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(rights(namespace)))
    file = tmp_path / "kubeconfig"
    file.write_text(apiserver_process.kubeconfig(server.url, server.ca_file, server.token(namespace, "secrets")))
    monkeypatch.setenv("KUBECONFIG", str(file))
    words = ("keys", "secrets", "--namespace", namespace, "--prefix", "s", "--host", "gateway")
    assert still.good(*words).count("made ") == 8
    assert still.good(*words).count("kept ") == 8
    with contextlib.closing(kubernetes.connect(f"kubernetes://{namespace}")) as api:
        cluster = secret_store.Cluster(api)
        assert set(cluster.get("s-issuer") or {}) == {"ca.crt", "ca.key"}
        with pytest.raises(errors.RejectedError, match="cannot get"):
            cluster.get("of-somebody-else")
        with pytest.raises(errors.ConflictError, match="run it again"):
            cluster.create("s-issuer", {"x": b""})
