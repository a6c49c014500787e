"""Certificates: which requests are taken, what a certificate says whatever the request said, and bad files named."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import require
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters import pki
from skerry.adapters.pki import authority
from skerry.core import errors

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
URI = "spiffe://skerry.local/tenant/default/node/edge-1"
MONTH = timedelta(days=30)


@pytest.fixture
def office(tmp_path: Path) -> pki.Authority:
    made = pki.make_ca("fleet", now=NOW)
    (tmp_path / "ca.crt").write_bytes(made.certificate)
    (tmp_path / "ca.key").write_bytes(made.key)
    return pki.Authority(tmp_path)


def request(key: object, subject: str = "", san: str = "") -> bytes:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    if san:
        uris = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san)])
        builder = builder.add_extension(uris, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


def broken(pem: bytes) -> bytes:
    """The same request with one bit of its signature turned."""
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    import base64

    text = base64.encodebytes(bytes(der))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"


P256: Callable[[], object] = lambda: ec.generate_private_key(ec.SECP256R1())  # noqa: E731

REFUSED = {
    "nothing": lambda: b"",
    "no PEM": lambda: b"\x00\xff" * 40,
    "a certificate instead": lambda: pki.make_ca("x", now=NOW).certificate,
    "an RSA key": lambda: request(rsa.generate_private_key(65537, 2048)),
    "a curve that is not ours": lambda: request(ec.generate_private_key(ec.SECP384R1())),
    "a signature that another key made": lambda: broken(request(P256())),
    "more than a request needs": lambda: request(P256()) + b"#" * authority.MAX_REQUEST_BYTES,
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_request_that_is_not_taken_is_an_error_of_the_caller(office: pki.Authority, what: str) -> None:
    with pytest.raises(errors.InputError):
        office.issue(REFUSED[what](), URI, MONTH, now=NOW)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_request_are_an_error_of_the_caller(data: bytes) -> None:
    with pytest.raises(errors.InputError):
        authority.digest_of_request(b"-----BEGIN CERTIFICATE REQUEST-----\n" + data)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_certificate_are_an_error_of_the_caller(data: bytes) -> None:
    with pytest.raises(errors.InputError):
        pki.peer_of(data)


@pytest.mark.parametrize("kind", [P256, ed25519.Ed25519PrivateKey.generate], ids=["P-256", "Ed25519"])
def test_what_a_request_says_of_its_holder_is_not_believed(
    office: pki.Authority, kind: Callable[[], object], tmp_path: Path
) -> None:
    asked = request(kind(), subject="admin", san="spiffe://skerry.local/tenant/default/node/other")
    (leaf,) = x509.load_pem_x509_certificates(office.issue(asked, URI, MONTH, now=NOW))
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(office.certificate()))
    assert leaf.subject == x509.Name([])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [one.value for one in names] == [URI]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    peer = pki.peer_of(leaf.public_bytes(serialization.Encoding.DER))
    assert (str(peer.id), peer.key) == (URI, authority.digest_of_request(asked))


def test_a_certificate_is_good_from_an_hour_ago_and_not_longer_than_its_ca(office: pki.Authority) -> None:
    leaf = x509.load_pem_x509_certificate(office.issue(pki.make_request(pki.make_key()), URI, MONTH, now=NOW))
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (NOW - timedelta(hours=1), NOW + MONTH)
    late = NOW + authority.CA_LIFETIME - timedelta(days=1)
    last = x509.load_pem_x509_certificate(office.issue(pki.make_request(pki.make_key()), URI, MONTH, now=late))
    assert last.not_valid_after_utc == NOW + authority.CA_LIFETIME


@require.requires("openssl", lambda: shutil.which("openssl") is not None, "openssl on the PATH verifies what we issue")
def test_openssl_believes_the_certificates(office: pki.Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = pki.Pair((tmp_path / "ca.crt").read_bytes(), (tmp_path / "ca.key").read_bytes())
    server = pki.make_server_certificate(ca, ["gateway.example", "10.0.0.1", "fd00::1"], now=now)
    (tmp_path / "server.pem").write_bytes(server.certificate)
    (tmp_path / "node.pem").write_bytes(office.issue(pki.make_request(pki.make_key()), URI, MONTH, now=now))
    for purpose, name, check in (
        ("sslserver", "server.pem", ["-verify_hostname", "gateway.example"]),
        ("sslserver", "server.pem", ["-verify_ip", "fd00::1"]),
        ("sslclient", "node.pem", []),
    ):
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(now.timestamp())), "-CAfile"]
        command += [str(tmp_path / "ca.crt"), "-purpose", purpose, *check, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_ca_that_is_renewed_is_used_at_once_and_the_old_one_may_stand_behind_it(tmp_path: Path) -> None:
    old, new = pki.make_ca("old", now=NOW), pki.make_ca("new", now=NOW)
    office = pki.Authority(tmp_path)
    for pair, bundle in ((old, old.certificate), (new, new.certificate + old.certificate)):
        (tmp_path / "ca.crt").write_bytes(bundle)
        (tmp_path / "ca.key").write_bytes(pair.key)
        leaf = x509.load_pem_x509_certificate(office.issue(pki.make_request(pki.make_key()), URI, MONTH, now=NOW))
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(pair.certificate))
    assert office.certificate() == new.certificate + old.certificate  # nodes are given both


def test_a_ca_below_another_one_follows_what_it_signs(tmp_path: Path) -> None:
    root, key = pki.make_ca("root", now=NOW), ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(root.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    above = x509.load_pem_x509_certificate(root.certificate)
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "below")]))
    builder = builder.issuer_name(above.subject).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + MONTH)
    below = builder.add_extension(x509.BasicConstraints(True, 0), critical=True).sign(signer, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca.crt").write_bytes(below.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "ca.key").write_bytes(private)
    made = pki.Authority(tmp_path).issue(pki.make_request(pki.make_key()), URI, MONTH, now=NOW)
    leaf, issuer = x509.load_pem_x509_certificates(made)
    assert issuer == below
    leaf.verify_directly_issued_by(issuer)


def test_cert_managers_file_names_are_known(tmp_path: Path) -> None:
    made = pki.make_ca("fleet", now=NOW)
    (tmp_path / "tls.crt").write_bytes(made.certificate)
    (tmp_path / "tls.key").write_bytes(made.key)
    assert pki.Authority(tmp_path).issue(pki.make_request(pki.make_key()), URI, MONTH, now=NOW)
    assert pki.digest_of_ca(tmp_path / "tls.crt").startswith("sha256:")


BAD_FILES = {
    "no files": ({}, errors.UnavailableError, "no ca.crt"),
    "a certificate that is none": ({"ca.crt": b"x", "ca.key": b"x"}, errors.IntegrityError, "cannot be read"),
    "the key of another CA": (
        {"ca.crt": pki.make_ca("a", now=NOW).certificate, "ca.key": pki.make_ca("b", now=NOW).key},
        errors.IntegrityError,
        "do not belong together",
    ),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_ca_that_cannot_sign_is_named(tmp_path: Path, what: str) -> None:
    found, kind, text = BAD_FILES[what]
    for name, data in found.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(kind, match=text):
        pki.Authority(tmp_path).issue(pki.make_request(pki.make_key()), URI, MONTH, now=NOW)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        pytest.param(NOW, "", id="now"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01", id="a clock without a battery"),
        pytest.param(NOW + timedelta(days=36_500), "set the clock", id="far ahead"),
    ],
)
def test_a_clock_at_which_nothing_can_be_verified_is_named(now: datetime, text: str) -> None:
    found = pki.clock_fault(pki.make_ca("fleet", now=NOW).certificate, now=now)
    assert (text in found, bool(found)) == (True, bool(text))
