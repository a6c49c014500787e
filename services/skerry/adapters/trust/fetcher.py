"""HTTP for the TUF client: one file at a time, bounded in bytes by the caller and in seconds here.

A server that sends a byte a second is cut off by the deadline, which covers everything one `Fetcher` ever downloads.
Redirects are refused: the repository is where the operator said it is. Resuming a broken download is left out.
"""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface

from skerry.core import errors

_CHUNK_BYTES = 64 * 1024
_GAP_S = 10.0  # longest silence of the server


def _context(identity: Path | None) -> ssl.SSLContext | None:
    """TLS 1.3 with the node's certificate, believing its fleet's CA alone."""
    if identity is None:
        return None
    try:
        made = ssl.create_default_context(cafile=identity / "ca.pem")
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    except OSError as exc:  # ssl.SSLError is one
        raise errors.UnavailableError(f"the certificate in {identity} cannot be used: {exc}") from exc
    return made


class Fetcher(FetcherInterface):
    """Downloads until `deadline_s` (on the monotonic clock) has passed; only tuf's DownloadErrors come out."""

    def __init__(self, deadline_s: float, identity: Path | None = None) -> None:
        """`identity`: folder of `cert.pem`, `key.pem`, `ca.pem`. Raises UnavailableError when they cannot be used."""
        self._deadline_s = deadline_s
        self._pool = urllib3.PoolManager(num_pools=2, retries=False, ssl_context=_context(identity))

    def close(self) -> None:
        self._pool.clear()

    def _fetch(self, url: str) -> Iterator[bytes]:
        remaining_s = self._remaining_s(url)
        timeout = urllib3.Timeout(connect=min(_GAP_S, remaining_s), read=min(_GAP_S, remaining_s))
        try:
            response = self._pool.request("GET", url, preload_content=False, redirect=False, timeout=timeout)
        except urllib3.exceptions.HTTPError as exc:
            raise exceptions.DownloadError(f"{url}: {exc}") from exc
        if response.status != 200:
            response.close()
            raise exceptions.DownloadHTTPError(f"{url} answered HTTP {response.status}", response.status)
        return self._chunks(url, response)

    def _chunks(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            # read1 returns what has arrived; read would wait for a whole chunk, for as long as the server likes.
            while chunk := response.read1(_CHUNK_BYTES):
                yield chunk
                self._remaining_s(url)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise exceptions.DownloadError(f"{url} broke off: {exc}") from exc
        finally:
            response.close()

    def _remaining_s(self, url: str) -> float:
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise exceptions.SlowRetrievalError(f"{url} was not downloaded in time")
        return remaining_s
