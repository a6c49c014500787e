"""X.509 by the `cryptography` library: founding a CA, certificates of servers, keys and requests of nodes, issuing."""

from skerry.adapters.pki.authority import Authority, Pair, digest_of_ca, make_ca, make_server_certificate
from skerry.adapters.pki.nodes import clock_fault, make_key, make_request, peer_of

__all__ = [
    "Authority",
    "Pair",
    "clock_fault",
    "digest_of_ca",
    "make_ca",
    "make_key",
    "make_request",
    "make_server_certificate",
    "peer_of",
]
