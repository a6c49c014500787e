"""Certificates from files, read again when the files change, so that a renewed one serves the next connection.

A pair that cannot be read (half written, mismatched, gone) is logged and the last good one stays. Session tickets are
off: a resumed session would keep a client's certificate trusted after its CA was taken away.
"""

import logging
import pathlib
import ssl
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from skerry.core import errors
from skerry.rpc.methods import Tls

_log = logging.getLogger("skerry.rpc")
LoadedT = TypeVar("LoadedT")
Stamp = tuple[tuple[int, int, int], ...]


def stamp(tls: Tls) -> Stamp:
    """Equal as long as no file was replaced or written: (inode, size, time of change in ns) of each. Raises OSError."""
    paths = [tls.certificate, tls.key, *([tls.client_ca] if tls.client_ca else [])]
    stats = [pathlib.Path(path).stat() for path in paths]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def context(tls: Tls, protocols: Sequence[str] = ("h2",)) -> ssl.SSLContext:
    """TLS 1.3 or 1.2 with ALPN. Raises UnavailableError when a file is missing or the pair does not fit."""
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ssl_context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.modern else ssl.TLSVersion.TLSv1_2
    # RFC 9113 §9.2.2 forbids the ciphers of TLS 1.2 without forward secrecy and authenticated encryption
    ssl_context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    ssl_context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    ssl_context.num_tickets = 0
    ssl_context.set_alpn_protocols(list(protocols))
    try:
        ssl_context.load_cert_chain(tls.certificate, tls.key)
        if tls.chain:
            ssl_context.load_verify_locations(tls.chain)  # not to verify clients: OpenSSL completes our chain with it
        if tls.client_ca:
            ssl_context.load_verify_locations(tls.client_ca)
            ssl_context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as exc:
        raise errors.UnavailableError(
            f"certificate {tls.certificate} with key {tls.key} cannot be used: {exc}"
        ) from exc
    return ssl_context


class Renewal(Generic[LoadedT]):
    """Loads again, per connection, when the files changed. `load` makes what the transport serves with."""

    def __init__(self, tls: Tls, load: Callable[[Tls], LoadedT]) -> None:
        """Raises what `load` raises."""
        self.tls, self._load = tls, load
        self._seen = _stamp_or_none(tls)
        self.current = load(tls)

    def fresh(self) -> LoadedT | None:
        """What was loaded again just now; None while nothing changed, or when the new files cannot be used."""
        seen = _stamp_or_none(self.tls)
        if seen is None or seen == self._seen:
            return None
        self._seen = seen
        try:
            self.current = self._load(self.tls)
        except errors.UnavailableError as exc:
            _log.warning("certificate_not_renewed", extra={"fields": {"message": str(exc)}})
            return None
        _log.info("certificate_renewed", extra={"fields": {"certificate": self.tls.certificate}})
        return self.current

    def latest(self) -> LoadedT:
        """For each new connection."""
        self.fresh()
        return self.current


def _stamp_or_none(tls: Tls) -> Stamp | None:
    try:
        return stamp(tls)
    except OSError:
        return None
