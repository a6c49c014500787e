"""Listening sockets of pages and web applications: IPv4, IPv6, and both at once for `[::]`."""

import socket

from skerry.core import addresses, errors


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. `::` takes IPv4 too where the machine can. Raises UnavailableError naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as exc:
        raise errors.UnavailableError(f"cannot listen on {addresses.show(host, port)}: {exc.strerror or exc}") from exc


def address(listener: socket.socket) -> str:
    """`host:port` that was bound, as others can write it."""
    return addresses.show(*listener.getsockname()[:2])
