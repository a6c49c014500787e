"""A node's key and its request for a certificate; and who the holder of a verified certificate is."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from skerry.core import digests, errors, identity


def make_key() -> bytes:
    """A new private key (P-256), PEM."""
    return pem_of(ec.generate_private_key(ec.SECP256R1()))


def make_request(key_pem: bytes) -> bytes:
    """A certificate request for this key, PEM. It names no holder: the gateway says who that is."""
    key = serialization.load_pem_private_key(key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise errors.IntegrityError("the node's key is not the elliptic-curve key that it made itself")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def peer_of(certificate_der: bytes) -> identity.Peer:
    """Who holds a certificate that was verified already. Raises InputError when it is no node's."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound, UnsupportedAlgorithm) as exc:
        raise errors.InputError("the certificate names no node") from exc
    if len(uris) != 1:
        raise errors.InputError(f"the certificate of a node names one id, not {len(uris)}")
    return identity.Peer(
        id=identity.parse(uris[0]),
        key=digest_of_key(certificate.public_key()),
        not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
    )


def clock_fault(ca_pem: bytes, *, now: datetime) -> str:
    """Why nothing can be verified at this time: before the fleet's CA was made, or after its end. Empty: it is fine."""
    try:
        ca = x509.load_pem_x509_certificate(ca_pem)
    except ValueError as exc:
        raise errors.IntegrityError(f"the fleet's CA cannot be read: {exc}") from exc
    begin, end = ca.not_valid_before_utc, ca.not_valid_after_utc
    if begin <= now <= end:
        return ""
    return (
        f"this node's clock says {now:%Y-%m-%d %H:%M}, but the fleet's CA is good from {begin:%Y-%m-%d} to "
        f"{end:%Y-%m-%d}: set the clock; it is tried again"
    )


def digest_of_key(key: PublicKeyTypes) -> str:
    """`sha256:` of the DER of SubjectPublicKeyInfo: the name of a key."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return digests.sha256(der)


def pem_of(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
