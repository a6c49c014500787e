"""The certificate authority of a fleet: a CA, the servers' certificates, and short-lived ones for enrolled nodes.

A request says only which public key asks: who its holder is, and for how long, is the gateway's to say. The CA's files
may come from here or from cert-manager; they are read for each certificate, so a renewed CA is used at once.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.adapters.pki import nodes
from skerry.core import digests, errors

MAX_REQUEST_BYTES = 8 << 10
CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=397)
_SKEW = timedelta(hours=1)  # a node whose clock is behind still takes its new certificate

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (with its chain) and its private key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """`folder` holds `ca.crt` and `ca.key` (or `tls.crt` and `tls.key`, as cert-manager names them)."""

    folder: Path

    def certificate(self) -> bytes:
        """The CA's certificate, PEM. Raises UnavailableError."""
        return _read(self.folder, "ca.crt", "tls.crt")

    def issue(self, request_pem: bytes, uri: str, lifetime: timedelta, *, now: datetime) -> bytes:
        """A client certificate for the key of a request, PEM. A CA below another one follows it; a root does not, for
        those who verify have it (RFC 8446 §4.4.2) and would keep it again for each connection: 6 KB. Raises InputError
        (the request), UnavailableError or IntegrityError (the CA's files)."""
        request = read_request(request_pem)
        issuer, key = self._load()
        until = min(now + lifetime, issuer.not_valid_after_utc)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = _builder(x509.Name([]), request.public_key(), issuer, now - _SKEW, until)
        builder = builder.add_extension(names, critical=True)  # RFC 5280 §4.1.2.6: critical where the subject is empty
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        certificate = builder.sign(key, _hash(key)).public_bytes(serialization.Encoding.PEM)
        is_root = issuer.issuer == issuer.subject
        return certificate if is_root else certificate + issuer.public_bytes(serialization.Encoding.PEM)

    def _load(self) -> tuple[x509.Certificate, CaKey]:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate())
            key = serialization.load_pem_private_key(_read(self.folder, "ca.key", "tls.key"), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise errors.IntegrityError(f"the CA in {self.folder} cannot be read: {exc}") from exc
        if not isinstance(key, CaKey) or nodes.digest_of_key(key.public_key()) != nodes.digest_of_key(
            certificate.public_key()
        ):
            raise errors.IntegrityError(f"certificate and key of the CA in {self.folder} do not belong together")
        return certificate, key


def digest_of_ca(file: Path) -> str:
    """`sha256:` of the DER of the CA certificate in a PEM file: what join tokens pin. Raises UnavailableError."""
    try:
        certificate = x509.load_pem_x509_certificate(_read(file.parent, file.name))
    except ValueError as exc:
        raise errors.IntegrityError(f"{file} holds no certificate: {exc}") from exc
    return digests.sha256(certificate.public_bytes(serialization.Encoding.DER))


def make_ca(name: str, *, now: datetime) -> Pair:
    """A new CA (P-256) that signs leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, key.public_key(), None, now - _SKEW, now + CA_LIFETIME)
    certificate = builder.sign(key, hashes.SHA256())
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), nodes.pem_of(key))


def make_server_certificate(ca: Pair, names: Sequence[str], *, now: datetime) -> Pair:
    """For a server reached by these host names or IP addresses; the CA follows in its chain, so that a node that holds
    a join token can find the CA it pins."""
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    ca_key = serialization.load_pem_private_key(ca.key, None)
    if not names or not isinstance(ca_key, CaKey):
        raise errors.InputError("a server's certificate needs the names it is reached by, and a CA's key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = _builder(subject, key.public_key(), issuer, now - _SKEW, now + SERVER_LIFETIME)
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    certificate = builder.sign(ca_key, _hash(ca_key))
    return Pair(certificate.public_bytes(serialization.Encoding.PEM) + ca.certificate, nodes.pem_of(key))


def digest_of_request(pem: bytes) -> str:
    """The name of the key that a request asks for. Raises InputError."""
    return nodes.digest_of_key(read_request(pem).public_key())


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """A node's request, its signature checked. Raises InputError."""
    if len(pem) > MAX_REQUEST_BYTES:
        raise errors.TooLargeError(f"a certificate request has at most {MAX_REQUEST_BYTES} bytes, not {len(pem)}")
    try:
        request = x509.load_pem_x509_csr(pem)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as exc:
        raise errors.InputError(f"the certificate request cannot be read: {exc}") from exc
    if not valid:
        raise errors.InputError("the certificate request is not signed by its own key")
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not is_p256 and not isinstance(key, ed25519.Ed25519PublicKey):
        raise errors.InputError("a node's key must be P-256 or Ed25519")
    return request


def _builder(
    subject: x509.Name, key: PublicKeyTypes, issuer: x509.Certificate | None, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    """`issuer` None: a CA that signs itself. Strict verifiers (Python's own since 3.13) want both key identifiers, RFC
    5280 §4.2.1."""
    is_ca = issuer is None
    usage = x509.KeyUsage(
        digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    own = x509.SubjectKeyIdentifier.from_public_key(key)  # type: ignore[arg-type]  # as below
    own_issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(issuer) if issuer else own)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key)  # type: ignore[arg-type]  # any that read_request let through, or our own
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_ca, 0 if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(own, critical=False)
        .add_extension(own_issuer, critical=False)
    )


def _key_id(issuer: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """As the issuer's certificate says it: its maker may have counted otherwise."""
    try:
        return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _hash(key: CaKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _read(folder: Path, *names: str) -> bytes:
    for name in names:
        if (folder / name).is_file():
            try:
                return (folder / name).read_bytes()
            except OSError as exc:
                raise errors.UnavailableError(f"cannot read {folder / name}: {exc.strerror}") from exc
    raise errors.UnavailableError(f"there is no {' or '.join(names)} in {folder}: found a CA with `skerry keys`")
