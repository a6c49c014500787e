"""Whom the teacher's listener for edges lets in, by the list it read and by how long ago that was."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skerry.adapters import pki
from skerry.core import allowlist as lists
from skerry.rpc.methods import CallError, Status
from skerry.teacher import allowlist
from skerry.teacher.allowlist import Allowlist

NOW = datetime.now(UTC)


class Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _certificate(tmp_path_factory.mktemp("ca"), "spiffe://skerry.local/tenant/default/node/edge-1")


def _certificate(folder: Path, uri: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    ca = pki.make_ca("fleet", now=NOW)
    (folder / "ca.crt").write_bytes(ca.certificate)
    (folder / "ca.key").write_bytes(ca.key)
    made = pki.Authority(folder).issue(pki.make_request(pki.make_key()), uri, timedelta(days=1), now=NOW)
    return x509.load_pem_x509_certificate(made).public_bytes(serialization.Encoding.DER)


def _entry(certificate: bytes) -> str:
    peer = pki.peer_of(certificate)
    return lists.entry_of(peer.id, peer.key)


def status(allowed: Allowlist, certificate: bytes | None) -> Status:
    try:
        allowed.check(certificate)
    except CallError as error:
        return error.status
    return Status.OK


def test_nobody_is_let_in_before_the_first_list(certificate: bytes) -> None:
    allowed = Allowlist(Time())
    assert status(allowed, certificate) is Status.UNAVAILABLE
    assert not allowed.is_stranger(certificate), "nor hung up on: he may be on the list"


def test_who_is_on_the_list_is_let_in_and_nobody_else(certificate: bytes) -> None:
    allowed = Allowlist(Time())
    allowed.update(frozenset({_entry(certificate)}))
    assert status(allowed, certificate) is Status.OK
    assert status(allowed, None) is Status.UNAUTHENTICATED
    allowed.update(frozenset({"f" * 64}))
    assert status(allowed, certificate) is Status.PERMISSION_DENIED
    assert allowed.is_stranger(certificate)


def test_a_list_stands_while_it_cannot_be_read_and_then_closes(certificate: bytes) -> None:
    clock = Time()
    allowed = Allowlist(clock)
    allowed.update(frozenset({_entry(certificate)}))
    clock.now_s += allowlist.PATIENCE_S
    assert status(allowed, certificate) is Status.OK
    clock.now_s += 1
    assert status(allowed, certificate) is Status.UNAVAILABLE
    allowed.update(None)
    assert status(allowed, certificate) is Status.OK, "it was read again, and is the same"


def test_nobody_is_let_in_who_was_refused_before_the_silence(certificate: bytes) -> None:
    clock = Time()
    allowed = Allowlist(clock)
    allowed.update(frozenset())
    clock.now_s += allowlist.PATIENCE_S - 1
    assert status(allowed, certificate) is Status.PERMISSION_DENIED


def test_the_servers_own_certificate_is_no_members() -> None:
    """It is of the same authority, and names no node."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    server = pki.make_server_certificate(pki.make_ca("fleet", now=NOW), ["gateway"], now=NOW)
    der = x509.load_pem_x509_certificate(server.certificate).public_bytes(serialization.Encoding.DER)
    allowed = Allowlist(Time())
    allowed.update(frozenset({"f" * 64}))
    assert allowed.is_stranger(der)
