"""Certificates of servers and clients that are not skerry's own (those come from `skerry.adapters.pki`): a CA and its
leaves, with the key identifiers that strict verifiers ask for (RFC 5280 §4.2.1; Python's own since 3.13)."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A CA that writes leaf certificates for 127.0.0.1 and localhost as PEM files into a folder."""

    def __init__(self, folder: Path, name: str = "ca", suffix: str = ".pem") -> None:
        self._folder, self._key, self._suffix = folder, ec.generate_private_key(ec.SECP256R1()), suffix
        self._name = _name(name)
        self.path = folder / f"{name}{suffix}"
        self.path.write_bytes(self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0)))

    def issue(self, name: str) -> tuple[str, str]:
        """Write `<name>.pem` and `<name>.key` in one replacement each; returns both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key, x509.BasicConstraints(ca=False, path_length=None))
        for suffix, content in ((self._suffix, certificate), (".key", _private(key))):
            fresh = self._folder / f"{name}{suffix}.new"
            fresh.write_bytes(content)
            fresh.replace(self._folder / f"{name}{suffix}")
        return str(self._folder / f"{name}{self._suffix}"), str(self._folder / f"{name}.key")

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, constraints: x509.BasicConstraints) -> bytes:
        begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        own_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=2))
            .add_extension(constraints, critical=True)
            .add_extension(_usage(is_ca=constraints.ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False)
        )
        if not constraints.ca:
            hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
