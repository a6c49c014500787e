"""Object storage through the gateway's door, as a training job sees it: HTTPS with a ticket, a few paths, no listing.

Every call is safe to repeat, so what may pass (no answer, no address yet, a gateway that restarts) is tried again for a
bounded time; longer than name servers remember that a name was not there.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from skerry.adapters.blobs import paths
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors, urls

CONNECT_S, READ_S = 5.0, 60.0
PATIENCE_S = 120.0  # from the first failure of a call to the last try
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)  # then 8 s each
_LAST_PAUSE_S = 8.0
_PASSING = frozenset({429, 502, 503, 504})
_MAX_TEXT_BYTES = 4096

_ERRORS: dict[int, type[errors.SkerryError]] = {
    400: errors.InputError,
    403: errors.RejectedError,
    404: errors.NotFoundError,
    413: errors.TooLargeError,
    422: errors.IntegrityError,
}

_log = logs.logger("blobs")


@dataclass(frozen=True, slots=True)
class Clock:
    """How time passes between tries."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class GatewayBlobs:
    """`ca` is PEM text, or a file of it, of who signed the gateway's certificate; empty: the system's authorities."""

    def __init__(self, url: str, ticket: str, ca: str, clock: Clock | None = None) -> None:
        parts = urls.split(url, "the door of the gateway")
        shown = urls.without_secret(url)
        if parts.scheme != "https" or not parts.hostname or parts.query:
            raise errors.InputError(f"the door of the gateway {shown!r} must be like https://host:8446/")
        if not ticket or not ticket.isascii() or not ticket.isprintable():
            raise errors.InputError(f"{shown} asks for a ticket: SKERRY_TICKET is missing or damaged")
        self._url, self._clock = url.rstrip("/"), clock or Clock()
        self._headers = {"Authorization": f"Bearer {ticket}"}
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(CONNECT_S, READ_S), ssl_context=_context(ca)
        )

    def read(self, path: str, *, max_bytes: int) -> bytes:
        return self._call("GET", paths.check(path), max_bytes=max_bytes)

    def write(self, path: str, data: bytes) -> None:
        self._call("PUT", paths.check(path), data)

    def exists(self, path: str) -> bool:
        try:
            self._call("HEAD", paths.check(path))
        except errors.NotFoundError:
            return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        raise errors.UnsupportedError(f"the door of the gateway lists nothing, not {prefix} either")

    def delete(self, path: str) -> None:
        raise errors.UnsupportedError(f"the door of the gateway deletes nothing, not {path} either")

    def _call(self, method: str, path: str, data: bytes | None = None, max_bytes: int | None = None) -> bytes:
        """One call, tried again while its failure may pass. Raises by the door's answer, or UnavailableError."""
        give_up_s = self._clock.monotonic() + PATIENCE_S
        pauses = iter(_PAUSES_S)
        while True:
            try:
                return self._try(method, path, data, max_bytes)
            except errors.UnavailableError as exc:
                pause_s = next(pauses, _LAST_PAUSE_S)
                if self._clock.monotonic() + pause_s > give_up_s:
                    raise
                _log.warning("door_tried_again", method=method, path=path, reason=str(exc), pause_s=pause_s)
                self._clock.sleep(pause_s)

    def _try(self, method: str, path: str, data: bytes | None, max_bytes: int | None) -> bytes:
        url = f"{self._url}/{path}"
        try:
            answer = self._pool.request(
                method, url, body=data, headers=self._headers, preload_content=False, redirect=False
            )
            try:
                if answer.status in (200, 201):
                    return b"" if max_bytes is None else _body(answer, path, max_bytes)
                text = answer.headers.get(contract.REASON_HEADER) or answer.read(_MAX_TEXT_BYTES).decode(
                    errors="replace"
                )
            finally:
                answer.close()  # what was read to its end is with the pool again; the rest is nobody's next answer
        except SSLError as exc:
            raise errors.RejectedError(f"{self._url} is not the gateway that SKERRY_CA knows: {exc}") from exc
        except (HTTPError, OSError) as exc:
            raise errors.UnavailableError(f"{method} {url}: {exc}") from exc
        raise _error(answer.status, text.strip(), f"{method} {url}")


def _body(answer: urllib3.BaseHTTPResponse, path: str, max_bytes: int) -> bytes:
    announced = int(answer.headers.get("content-length", "0"))
    if announced > max_bytes:
        raise errors.TooLargeError(f"blob {path} has {announced} bytes, more than the limit of {max_bytes}")
    data = answer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise errors.TooLargeError(f"blob {path} has more bytes than the limit of {max_bytes}")
    return data


def _error(status: int, text: str, what: str) -> errors.SkerryError:
    if status in _PASSING:
        return errors.UnavailableError(f"{what}: {status} {text}")
    kind = _ERRORS.get(status)
    return kind(text or f"{what}: {status}") if kind else errors.UnavailableError(f"{what}: {status} {text}")


def _context(ca: str) -> ssl.SSLContext:
    try:
        pem = ca if "-----BEGIN" in ca or not ca else Path(ca).read_text()
        context = ssl.create_default_context(cadata=pem or None)
    except (OSError, ValueError, ssl.SSLError) as exc:
        raise errors.InputError(f"SKERRY_CA holds no certificates: {exc}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
