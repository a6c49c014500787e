"""A certificate for loopback: the generator trusts any, since handshakes are not measured."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skerry.adapters import pki


@dataclass(frozen=True, slots=True)
class Pair:
    certificate: Path
    key: Path


def make(folder: Path) -> Pair:
    """ECDSA on P-256, with its CA behind it, as gateways have it."""
    now = datetime.now(UTC)
    server = pki.make_server_certificate(pki.make_ca("bench", now=now), ["127.0.0.1"], now=now)
    pair = Pair(folder / "server.pem", folder / "server.key")
    pair.certificate.write_bytes(server.certificate)
    pair.key.write_bytes(server.key)
    return pair
