"""Network addresses as text: `host:port`, with IPv6 hosts in brackets (`[::1]:8001`), read and written in one place.

Left out: names are not resolved and nothing is bound here.
"""

from skerry.core import errors

MAX_CHARS = 300  # a host name has at most 253
Address = tuple[str, int]  # host without brackets, port


def parse(name: str, text: str) -> Address:
    """(host, port) of `host:port` or `[IPv6]:port`; port 0 asks for any. Raises InputError naming `name`."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]") and ":" in host:
        host = host[1:-1]
    elif ":" in host:
        raise errors.InputError(
            f"{name} must be host:port, not {text[:MAX_CHARS]!r}; brackets stand around an IPv6 host, like [::1]:8001"
        )
    is_port = port.isascii() and port.isdecimal() and len(port) < 6 and int(port) < 65536
    if not host or not is_port or len(text) > MAX_CHARS or any(sign in host for sign in "[]/@?# \t\r\n"):
        raise errors.InputError(f"{name} must be host:port, not {text[:MAX_CHARS]!r}")
    return host, int(port)


def show(host: str, port: int) -> str:
    """`host:port` as others can use it: an IPv6 host is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
