"""Where others reach a listener of this machine. One that takes calls on every interface has no address that could be
told: 0.0.0.0 and [::] lead everybody to themselves.

No name is resolved and nothing is sent.
"""

import socket

from skerry.core import addresses

# Of the nets for documentation: nobody is there, so that the system takes the interface of its default route.
_FAR = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_PORT = 9  # discard


def reachable(host: str, port: int, peer_host: str) -> str:
    """`host:port` of a listener on (host, port), as others can use it. On every interface: the address of the one that
    leads to `peer_host`, or to anywhere when that is a name; this machine's name where there is no route."""
    if not addresses.is_wildcard(host):
        return addresses.show(host, port)
    families = (socket.AF_INET6, socket.AF_INET) if ":" in host else (socket.AF_INET,)
    for family in families:
        if own := _outgoing(family, peer_host):
            return addresses.show(own, port)
    return addresses.show(socket.gethostname(), port)


def _outgoing(family: socket.AddressFamily, peer_host: str) -> str:
    """The address of the interface that leads to the peer; empty: there is no way by this family."""
    far = peer_host if _is_literal(family, peer_host) else _FAR[family]
    if addresses.is_loopback(peer_host):
        far = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, _PORT))
            own = str(probe.getsockname()[0])
    except OSError:
        return ""
    return "" if addresses.is_wildcard(own) else own


def _is_literal(family: socket.AddressFamily, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True
