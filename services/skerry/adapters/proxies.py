"""Proxies of the environment (`http_proxy`, `https_proxy`, …) are for other machines: calls to this one go directly.

gRPC's core takes a proxy for every address that `no_proxy` does not name, loopback too, and a proxy elsewhere then
connects to itself. The other clients here (urllib3's pools, lightkube without `trust_env`) take none.
"""

from skerry.core import addresses

_DIRECTLY = (("grpc.enable_http_proxy", 0),)


def grpc_options(address: str) -> tuple[tuple[str, int], ...]:
    """Options of a channel to `address` (`host:port`)."""
    return _DIRECTLY if addresses.is_loopback(address.rpartition(":")[0]) else ()
