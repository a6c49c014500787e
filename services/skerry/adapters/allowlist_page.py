"""The gateway's list of nodes that may speak now (`core.allowlist`), read over HTTPS again and again.

Each time by a connection of its own: it finds a renewed authority and another gateway, and no idle one holds up a
gateway that ends.
"""

import ssl

import urllib3
from urllib3.exceptions import HTTPError

from skerry.core import allowlist, errors

TIMEOUT_S = 5.0
MAX_BYTES = 16 << 20  # 250,000 nodes


class AllowlistPage:
    """`ca`: file of the authority of the gateway's certificate."""

    def __init__(self, url: str, ca: str) -> None:
        self._url, self._ca, self._tag = url, ca, ""

    def changed(self) -> frozenset[str] | None:
        """The list, or None while it is the one that was read last. Raises UnavailableError."""
        try:
            context = ssl.create_default_context(cafile=self._ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, ssl_context=context) as pool:
                return self._read(pool)
        except (HTTPError, OSError, errors.InputError) as exc:
            raise errors.UnavailableError(f"the list of allowed nodes at {self._url} cannot be read: {exc}") from exc

    def _read(self, pool: urllib3.PoolManager) -> frozenset[str] | None:
        asked = {"Connection": "close"} | ({"If-None-Match": self._tag} if self._tag else {})
        answer = pool.request("GET", self._url, headers=asked, preload_content=False, redirect=False)
        try:
            data = answer.read(MAX_BYTES + 1)
        finally:
            answer.close()
        if answer.status == 304 and self._tag:
            return None
        if answer.status != 200 or len(data) > MAX_BYTES:
            raise errors.InputError(f"status {answer.status}, {len(data)} bytes")
        entries, self._tag = allowlist.read(data), answer.headers.get("ETag", "")
        return entries
