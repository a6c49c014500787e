"""Network addresses as text: `host:port`, with IPv6 hosts in brackets (`[::1]:8001`), read and written in one place.

Left out: names are not resolved and nothing is bound here.
"""

import ipaddress
import re

from skerry.core import errors, urls

MAX_CHARS = 300  # a host name has at most 253
_MAX_HOST_CHARS = 253
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE
)
Address = tuple[str, int]  # host without brackets, port


def parse(name: str, text: str) -> Address:
    """(host, port) of `host:port` or `[IPv6]:port`; port 0 asks for any. Raises InputError naming `name`."""
    host, _, port = text.rpartition(":")
    shown = urls.without_secret(text)[:MAX_CHARS]  # a URL with a password may stand in its place
    if host.startswith("[") and host.endswith("]") and ":" in host:
        host = host[1:-1]
    elif ":" in host:
        raise errors.InputError(
            f"{name} must be host:port, not {shown!r}; brackets stand around an IPv6 host, like [::1]:8001"
        )
    is_port = port.isascii() and port.isdecimal() and len(port) < 6 and int(port) < 65536
    if not host or not is_port or len(text) > MAX_CHARS or any(sign in host for sign in "[]/@?# \t\r\n"):
        raise errors.InputError(f"{name} must be host:port, not {shown!r}")
    return host, int(port)


def show(host: str, port: int) -> str:
    """`host:port` as others can use it: an IPv6 host is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def network(peer: str) -> str:
    """Whom to count a peer (`host:port`) as: its IPv4 address, or the /64 of its IPv6 address, of which one caller has
    as many addresses as it likes. What is no address (a socket's path) stands for itself."""
    host = peer.rpartition(":")[0].strip("[]") or peer
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def is_wildcard(host: str) -> bool:
    """A listener on this host takes calls on every interface; nobody can be sent there."""
    return host in ("", "0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "*")


def is_loopback(host: str) -> bool:
    """Only this machine reaches it."""
    host = host.strip("[]").lower().rstrip(".")
    if host in ("localhost", "::1", "0:0:0:0:0:0:0:1") or host.endswith(".localhost"):
        return True
    parts = host.removeprefix("::ffff:").split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)


def check_host(name: str, text: str) -> str:
    """A DNS name (`*.` in front for all of a domain) or an IP address, as a certificate names it. Raises InputError
    saying what `text` is instead, and naming `name`."""
    shown = text[:MAX_CHARS]
    if "://" in text:
        raise errors.InputError(f"{name} {shown!r} is a URL: give its host alone")
    if text.startswith("["):
        raise errors.InputError(f"{name} {shown!r}: give an IPv6 address without brackets and without a port")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    host, colon, port = text.partition(":")
    if colon and port.isdigit():
        raise errors.InputError(f"{name} {shown!r} has a port: give the host alone, {host[:MAX_CHARS]!r}")
    if text and text.replace(".", "").isdigit():
        raise errors.InputError(f"{name} {shown!r} is no IP address")
    if not text.isascii():
        raise errors.InputError(f"{name} {shown!r} has letters that DNS does not carry{_in_ascii(text)}")
    if len(text) > _MAX_HOST_CHARS or not _HOST.fullmatch(text):
        raise errors.InputError(f"{name} {shown!r} is neither a DNS name nor an IP address")
    return text


def _in_ascii(host: str) -> str:
    try:
        return f": give {host.encode('idna').decode()!r}"
    except UnicodeError:
        return ""


def place_of(host: str) -> str:
    """What counts as one: an IPv4 address, an IPv6 /64, or the text as it is (a Unix socket has none)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6:
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return host
