"""A webhook's message and its signature as https://www.standardwebhooks.com says, and where it may go. Pure.

A receiver checks `webhook-signature` over id, time and body, refuses an old time, and passes over an id that it had.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry.core import errors, urls
from skerry.core.webhook_events import Event

MAX_BODY_BYTES = 16 << 10
_PREFIX = "whsec_"
_MIN_KEY, _MAX_KEY = 24, 64  # bytes, as the standard says

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """`path` with its query; `shown` holds no secret."""

    is_tls: bool
    host: str
    port: int
    path: str
    shown: str


def target(url: str) -> Target:
    """Raises InputError for what is no http(s) URL of a host, or has a password in it."""
    parts = urls.split(url, "SKERRY_WEBHOOK_URL")
    shown = urls.without_secret(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.InputError(f"SKERRY_WEBHOOK_URL {shown!r} must be http://host… or https://host…")
    if parts.username is not None or parts.fragment:
        raise errors.InputError(f"SKERRY_WEBHOOK_URL {shown!r} must have neither user, password nor #")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character <= " " for character in path):
        raise errors.InputError(f"SKERRY_WEBHOOK_URL {shown!r} must have its path percent-encoded")
    return Target(is_tls, parts.hostname, parts.port or (443 if is_tls else 80), path, shown)


def networks(text: str) -> Sequence[Network]:
    """SKERRY_WEBHOOK_ALLOW. Raises InputError."""
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())
    except ValueError as exc:
        raise errors.InputError(f"SKERRY_WEBHOOK_ALLOW must be networks like 10.1.0.0/16, with commas: {exc}") from exc


def check_address(address: str, allowed: Sequence[Network], *, is_tls: bool) -> None:
    """Raises RejectedError for an address that nobody allowed: one that is not public, or any without TLS."""
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    if any(found in network for network in allowed):
        return
    if not is_tls:
        raise errors.RejectedError(f"{address} is not in SKERRY_WEBHOOK_ALLOW, and without TLS it must be")
    if not found.is_global or found.is_multicast:
        raise errors.RejectedError(f"{address} is no public address, and not in SKERRY_WEBHOOK_ALLOW")


def key(secret: str) -> bytes:
    """Of `whsec_<base64>`. Raises InputError, which does not repeat it."""
    given = secret.strip()
    try:
        found = base64.b64decode(given.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not given.startswith(_PREFIX) or not _MIN_KEY <= len(found) <= _MAX_KEY:
        raise errors.InputError(
            f"the webhook's secret must be {_PREFIX} and {_MIN_KEY} to {_MAX_KEY} bytes in base64: "
            f'`printf "{_PREFIX}%s" "$(openssl rand -base64 32)"`'
        )
    return found


def body(event: Event) -> bytes:
    """What is cut is cut at its texts (`webhook_events`), so that it always fits."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    made = json.dumps({"type": event.type, "timestamp": at, "data": event.data}, ensure_ascii=True).encode()
    if len(made) > MAX_BODY_BYTES:
        made = json.dumps({"type": event.type, "timestamp": at, "data": {"cut": True}}).encode()
    return made


def headers(event: Event, sent: bytes, secret: bytes, now_s: int) -> Mapping[str, str]:
    """`now_s`: Unix time of this attempt."""
    return {
        "content-type": "application/json",
        "user-agent": "skerry",
        "webhook-id": event.id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(event.id, now_s, sent, secret),
    }


def signature(message_id: str, now_s: int, sent: bytes, secret: bytes) -> str:
    made = hmac.new(secret, f"{message_id}.{now_s}.".encode() + sent, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"
