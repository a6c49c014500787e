"""A machine without IPv6 on its loopback leaves some tests out, and says so."""

import functools
import socket

from require import requires


@functools.cache
def is_there() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needed = requires("ipv6", is_there, "no IPv6 on the loopback interface; enable it in the kernel or the container")
