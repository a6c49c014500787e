"""One HTTP POST to where an operator said, and nowhere else: the address is checked before it is connected to, that
very address is used, redirects are not followed, a proxy is not asked, and of the answer only the status is read.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence

from skerry.core import errors, webhook_message
from skerry.core.webhook_message import Network, Target

_TIMEOUT_S = 10.0


class Poster:
    """`target`, and the networks besides public addresses that it may lie in."""

    def __init__(self, target: Target, allowed: Sequence[Network]) -> None:
        self._target, self._allowed = target, allowed
        self._context = ssl.create_default_context() if target.is_tls else None

    def post(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises RejectedError for an address that is not allowed, UnavailableError for anything but a 2xx."""
        shown = self._target.shown
        try:
            status = self._status(headers, body)
        except (OSError, http.client.HTTPException, UnicodeError) as exc:
            raise errors.UnavailableError(f"{shown} did not take the event: {exc}") from exc
        if not 200 <= status < 300:
            raise errors.UnavailableError(f"{shown} answered {status}")

    def _status(self, headers: Mapping[str, str], body: bytes) -> int:
        target = self._target
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        webhook_message.check_address(address, self._allowed, is_tls=target.is_tls)
        line = socket.create_connection((address, target.port), timeout=_TIMEOUT_S)
        try:
            if self._context is not None:
                line = self._context.wrap_socket(line, server_hostname=target.host)
            asking = http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT_S)
            asking.sock = line
            asking.request("POST", target.path, body, dict(headers))
            return asking.getresponse().status
        finally:
            line.close()
