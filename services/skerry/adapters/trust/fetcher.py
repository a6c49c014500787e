"""HTTP for the TUF client: one file at a time, bounded in bytes by the caller and in seconds here.

A server that sends a byte a second is cut off: by the slowest rate that is taken, and by the deadline, which covers
everything one `Fetcher` ever downloads. Redirects are refused: the repository is where the operator said it is. Target
files that broke off are gone on with where a folder is given for what is unfinished (`partial`).
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import urllib3
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface

from skerry.adapters.trust import partial_download
from skerry.core import errors, urls
from skerry.core import identity as names

_CHUNK_BYTES = 64 * 1024
_GAP_S = 10.0  # longest silence of the server
_WINDOW_S, _SLOWEST_BYTES_PER_S = 20.0, 256  # a thirtieth of 64 kbit/s
_RANGE_NOT_SATISFIABLE = 416


def _context(identity: Path | None) -> ssl.SSLContext | None:
    """TLS 1.3 with the node's certificate, believing its fleet's CA alone."""
    if identity is None:
        return None
    try:
        context = ssl.create_default_context(cafile=identity / "ca.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    except OSError as exc:  # ssl.SSLError is one
        raise errors.UnavailableError(f"the certificate in {identity} cannot be used: {exc}") from exc
    return context


class Fetcher(FetcherInterface):
    """Downloads until `deadline_s` (on the monotonic clock) has passed; only tuf's DownloadErrors come out."""

    def __init__(self, deadline_s: float, identity: Path | None = None, unfinished: Path | None = None) -> None:
        """`identity`: folder of `cert.pem`, `key.pem`, `ca.pem`. `unfinished`: folder of target files that broke off;
        `went_on` is the one that the last download went on with. Raises UnavailableError when the certificate cannot be
        used."""
        self.went_on: partial_download.PartialDownload | None = None
        self._deadline_s, self._unfinished = deadline_s, unfinished
        self._pool = urllib3.PoolManager(num_pools=2, retries=False, ssl_context=_context(identity))

    def close(self) -> None:
        self._pool.clear()

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.went_on = None
        _, targets, path = url.partition("/targets/")
        if self._unfinished is not None and targets:
            return self._resumed(url, partial_download.PartialDownload(self._unfinished, path.rpartition("/")[2]))
        return self._chunks(url, self._open(url, {}))

    def _resumed(self, url: str, kept: partial_download.PartialDownload) -> Iterator[bytes]:
        """What is kept, and the rest from the server; or everything when there is nothing, or the server's file is
        another one by now."""
        have = kept.size_bytes
        response = self._open(url, kept.headers())
        if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            response.close()
            kept.forget()
            raise exceptions.DownloadError(f"{urls.without_secret(url)} answered with another part than was asked for")
        if have and response.status in (206, _RANGE_NOT_SATISFIABLE):
            self.went_on = kept
            yield from kept.read()
        else:
            kept.begin(response.headers.get("ETag", ""))
        if response.status == _RANGE_NOT_SATISFIABLE:
            response.close()  # everything is here already, or too much: the hash tells
            return
        yield from kept.keep(self._chunks(url, response))

    def _open(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        remaining_s = self._remaining_s(url)
        timeout = urllib3.Timeout(connect=min(_GAP_S, remaining_s), read=min(_GAP_S, remaining_s))
        try:
            response = self._pool.request(
                "GET", url, headers=dict(headers), preload_content=False, redirect=False, timeout=timeout
            )
        except urllib3.exceptions.HTTPError as exc:
            raise exceptions.DownloadError(f"{urls.without_secret(url)}: {exc}{names.hint(str(exc))}") from exc
        if response.status != 200 and not (headers and response.status in (206, _RANGE_NOT_SATISFIABLE)):
            response.close()
            raise exceptions.DownloadHTTPError(
                f"{urls.without_secret(url)} answered HTTP {response.status}", response.status
            )
        return response

    def _chunks(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        window_s, received = time.monotonic(), 0
        try:
            # read1 returns what has arrived; read would wait for a whole chunk, for as long as the server likes.
            while chunk := response.read1(_CHUNK_BYTES):
                yield chunk
                self._remaining_s(url)
                received += len(chunk)
                if (passed_s := time.monotonic() - window_s) > _WINDOW_S:
                    if received < passed_s * _SLOWEST_BYTES_PER_S:
                        raise exceptions.SlowRetrievalError(
                            f"{urls.without_secret(url)} came with only {received / passed_s:.0f} bytes a second"
                        )
                    window_s, received = time.monotonic(), 0
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise exceptions.DownloadError(f"{urls.without_secret(url)} broke off: {exc}") from exc
        finally:
            response.close()

    def _remaining_s(self, url: str) -> float:
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise exceptions.SlowRetrievalError(f"{urls.without_secret(url)} was not downloaded in time")
        return remaining_s
