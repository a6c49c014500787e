"""JSON by path over the Kubernetes API, every request bounded in time, only skerry's errors out.

Where the cluster is and who we are is lightkube's business: the service account of a pod (its token is read again
when the API server refuses it), or a kubeconfig with tokens, certificates or an exec plugin.
"""

import contextlib
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx2 as httpx
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from skerry.core import errors, urls

Json = dict[str, Any]
CONNECT_S, READ_S = 3.0, 10.0
_LEAVE_S = CONNECT_S + READ_S  # within which a call that was begun is over
MERGE_PATCH = "application/merge-patch+json"


class Api:
    """One connection pool; threads may share it. It ends with `close`, or when nothing refers to it any more.

    No connection is closed under a thread that reads from it: the system gives the number of a closed socket to the
    next file that is opened, and TLS would write its alert into that one (it was a database).
    """

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self._client, self.namespace = client, namespace
        self._changed, self._calls, self._ended = threading.Condition(), 0, False
        self._streams: set[socket.socket] = set()
        weakref.finalize(self, client.close).atexit = False  # daemon threads may read until the process is gone

    def get(self, path: str, query: Mapping[str, str] | None = None, *, timeout_s: float = READ_S) -> Json:
        return self._json("GET", path, query=query, timeout_s=timeout_s)

    def create(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Json:
        return self._json("POST", path, query=query, body=body)

    def put(self, path: str, body: Mapping[str, Any], *, timeout_s: float = READ_S) -> Json:
        return self._json("PUT", path, body=body, timeout_s=timeout_s)

    def patch(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Json:
        """A JSON merge patch (RFC 7386)."""
        return self._json("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)

    def delete(
        self, path: str, query: Mapping[str, str] | None = None, *, body: Mapping[str, Any] | None = None
    ) -> None:
        """`body`: DeleteOptions, with preconditions. Raises ConflictError where one does not hold."""
        self._json("DELETE", path, query=query, body=body)

    def text(self, path: str, query: Mapping[str, str], max_bytes: int) -> bytes:
        """What is no JSON (a pod's log): its first `max_bytes`."""
        data = bytearray()
        with self._open("GET", path, query, READ_S) as answer:
            for chunk in _translated(answer.iter_bytes(), path):
                data += chunk
                if len(data) >= max_bytes:
                    break
        return bytes(data[:max_bytes])

    def lines(self, path: str, query: Mapping[str, str], *, silence_s: float) -> Iterator[str]:
        """A stream's lines. Raises UnavailableError when it says nothing for `silence_s`."""
        with self._open("GET", path, query, silence_s) as answer:
            yield from _translated(answer.iter_lines(), path)

    def close(self) -> None:
        """End the streams (whoever reads one gets UnavailableError), wait until no call is under way, then close what
        is open. A call that does not come back in time keeps its connection until the process ends."""
        with self._changed:
            self._ended = True
            for stream in self._streams:
                _hang_up(stream)
            left = self._changed.wait_for(lambda: not self._calls, _LEAVE_S)
        if left:
            self._client.close()

    @contextlib.contextmanager
    def _call(self, path: str) -> Iterator[None]:
        with self._changed:
            if self._ended:
                raise errors.UnavailableError(f"the Kubernetes API was not asked for {path}: the connection was closed")
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def _open(self, method: str, path: str, query: Mapping[str, str], read_s: float) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(read_s, connect=CONNECT_S)
        try:
            with (
                self._call(path),
                self._client.stream(method, path, params=dict(query), timeout=timeout) as answer,
                self._streaming(answer),
            ):
                if answer.status_code >= 400:
                    answer.read()
                    raise _refused(answer, method, path)
                yield answer
        except (httpx.HTTPError, ConfigError, OSError) as exc:
            raise _unreachable(exc, path) from exc

    @contextlib.contextmanager
    def _streaming(self, answer: httpx.Response) -> Iterator[None]:
        """`close` finds the stream's socket meanwhile."""
        stream: socket.socket = answer.extensions["network_stream"].get_extra_info("socket")
        with self._changed:
            self._streams.add(stream)
            if self._ended:
                _hang_up(stream)
        try:
            yield
        finally:
            with self._changed:
                self._streams.discard(stream)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout_s: float = READ_S,
    ) -> Json:
        """`timeout_s` bounds it all, with the pauses that an API server asks for which is too busy (HTTP 429: it has
        done nothing yet)."""
        headers = {} if body is None else {"Content-Type": content_type}
        end_s = time.monotonic() + timeout_s
        try:
            while True:
                left_s = max(0.1, end_s - time.monotonic())
                timeout = httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))
                with self._call(path):
                    answer = self._client.request(
                        method, path, params=dict(query or {}), json=body, headers=headers, timeout=timeout
                    )
                if answer.status_code < 400:
                    break
                pause_s = _pause_s(answer)
                if pause_s is None or time.monotonic() + pause_s >= end_s:
                    raise _refused(answer, method, path)
                time.sleep(pause_s)
            document: Json = answer.json()
        except (httpx.HTTPError, ConfigError, OSError, ValueError) as exc:
            raise _unreachable(exc, path) from exc
        return document


class GoneError(errors.UnavailableError):
    """The asked resource version is too old (HTTP 410): list again."""


def connect(url: str) -> Api:
    """`kubernetes://<namespace>[?context=<of the kubeconfig>]`. Inside a pod its service account is used, elsewhere
    KUBECONFIG or ~/.kube/config. Raises InputError."""
    parts = urls.split(url, "object store")
    query = parse_qs(parts.query)
    if parts.scheme != "kubernetes" or not parts.netloc or parts.path.strip("/") or set(query) - {"context"}:
        raise errors.InputError(
            f"{urls.without_secret(url)!r} must be kubernetes://<namespace>, with ?context=<name> where that is needed"
        )
    try:
        config = KubeConfig.from_env().get(context_name=query.get("context", [None])[0])
    except (ConfigError, OSError, ValueError) as exc:
        raise errors.InputError(f"{urls.without_secret(url)}: no cluster can be found: {exc}; set KUBECONFIG") from exc
    if config is None or config.user is None:
        raise errors.InputError(
            f"{urls.without_secret(url)}: the kubeconfig has no current context with a user: name one with ?context="
        )
    # No proxy of the environment: the API server is reached directly, as kubectl's NO_PROXY would say in a pod.
    client = Client(config, ConnectionParams(timeout=httpx.Timeout(READ_S, connect=CONNECT_S), trust_env=False))
    return Api(client, parts.netloc)


def _hang_up(stream: socket.socket) -> None:
    """Whoever reads from it finds its end; its number stays taken. An SSLSocket's own `shutdown` would also put away
    the TLS that the reader is in."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(stream, socket.SHUT_RDWR)


def _translated(items: Iterator[Any], path: str) -> Iterator[Any]:
    try:
        yield from items
    except (httpx.HTTPError, OSError) as exc:
        raise _unreachable(exc, path) from exc


def _unreachable(exc: Exception, path: str) -> errors.UnavailableError:
    return errors.UnavailableError(f"the Kubernetes API did not answer for {path}: {type(exc).__name__} {exc}".rstrip())


def _pause_s(answer: httpx.Response) -> float | None:
    """How long to wait before asking again; None: asking again is of no use."""
    said = answer.headers.get("retry-after", "")
    return float(said) if answer.status_code == 429 and said.isascii() and said.isdigit() else None


def _refused(answer: httpx.Response, method: str, path: str) -> errors.SkerryError:
    """Which error a refusal is; the text is the API server's own, which names object and field."""
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.text[:500]
    text, code = f"the Kubernetes API refused {method} {path}: {said}", answer.status_code
    if code == 404:
        return errors.NotFoundError(text)
    if code == 409:
        return errors.ConflictError(text)
    if code == 410:
        return GoneError(text)
    if code in (401, 403):
        return errors.RejectedError(text)
    if code == 413:
        return errors.TooLargeError(text)
    if code in (400, 422):
        return errors.InputError(said)
    return errors.UnavailableError(text)
