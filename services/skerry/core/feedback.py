"""Who may tell the truth of an earlier request: tokens that came with the answer, and what else a node may accept.

A token is a MAC over model, request id, the answer's name and the time, so that a node needs to remember none: it holds
over restarts, and over a handover between agents that share the key. The answer's name is drawn for each captured
request and kept with its example: a token is good for the answer that it came with, and not for another request that
somebody gave the same id. Where the key lies and who asks is the caller's.
"""

import base64
import binascii
import enum
import hmac
import struct
from collections.abc import Collection
from dataclasses import dataclass

from skerry.core import errors

PARAMETER = "skerry_feedback_token"
KEY_BYTES = 32
ANSWER_BYTES = 9
OFF = "Off"
_DAY_S = 86_400
_FORMAT = 1
_HEAD = struct.Struct(f">B{ANSWER_BYTES}sQ")  # format, answer, Unix seconds
_MAC_BYTES = 15  # 120 bits
_TOKEN_CHARS = 4 * -(-(_HEAD.size + _MAC_BYTES) // 3)


class Proof(enum.StrEnum):
    """What a caller of Feedback may show."""

    TOKEN = "Token"
    SECRET = "Secret"
    CERTIFICATE = "Certificate"


class ExpiredTokenError(errors.ForbiddenError):
    """It was given by this node, and is too old."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`now_s` is Unix time; a token that seems to come from the future is good: the clock was put right."""

    now_s: int
    good_for_s: int


def good_for_s(least_s: int, horizon_ms: int) -> int:
    """How long the token of an answer is good whose truth is due after `horizon_ms`: that and a day, if it is more."""
    return max(least_s, horizon_ms // 1000 + _DAY_S) if horizon_ms else least_s


def parse_proofs(text: str) -> Collection[Proof]:
    """`Token`, `Secret`, `Certificate`, several of them separated by commas, or `Off` (none). Raises InputError."""
    names = [name.strip() for name in text.split(",")]
    if names == [OFF]:
        return frozenset()
    known = [proof.value for proof in Proof]
    if unknown := [name for name in names if name not in known]:
        raise errors.InputError(
            f"{unknown[0]!r} is none of {', '.join(known)}; several are separated by commas, {OFF} stands alone"
        )
    return frozenset(map(Proof, names))


def issue(key: bytes, model: str, request_id: str, answer: bytes, now_s: int) -> str:
    """The token of an answer, of `ANSWER_BYTES`, that was given now."""
    head = _HEAD.pack(_FORMAT, answer, now_s)
    return base64.urlsafe_b64encode(head + _mac(key, head, model, request_id)).decode()


def answer_of(key: bytes, token: str, model: str, request_id: str, lifetime: Lifetime) -> bytes:
    """The answer that a token came with. Row `n` of a request with several is named `<id>#<n>` by the token of `<id>`.
    Raises ForbiddenError (none of this node's for this request), ExpiredTokenError."""
    head, mac = _parts(token)
    named = {request_id, _request_of_row(request_id)}
    if not any(hmac.compare_digest(mac, _mac(key, head, model, name)) for name in named):
        raise errors.ForbiddenError(
            f"this token did not come with the answer to request {request_id!r:.80} of {model!r:.80} on this node: "
            f"send the reply's parameter {PARAMETER} to the agent that answered"
        )
    _, answer, issued_s = _HEAD.unpack(head)
    if lifetime.now_s - issued_s > lifetime.good_for_s:
        days, limit = (lifetime.now_s - issued_s) / 86_400, lifetime.good_for_s / 86_400
        raise ExpiredTokenError(
            f"this token is {days:.1f} days old and was good for {limit:.1f}: the truth of this request comes too late"
        )
    return bytes(answer)


def _parts(token: str) -> tuple[bytes, bytes]:
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True) if len(token) == _TOKEN_CHARS else b""
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if len(data) != _HEAD.size + _MAC_BYTES or data[0] != _FORMAT:
        raise errors.ForbiddenError(f"this is no feedback token: send the reply's parameter {PARAMETER} as it came")
    return data[: _HEAD.size], data[_HEAD.size :]


def _mac(key: bytes, head: bytes, model: str, request_id: str) -> bytes:
    name = model.encode("utf-8", "surrogatepass")
    message = b"".join((head, len(name).to_bytes(4, "big"), name, request_id.encode("utf-8", "surrogatepass")))
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]


def _request_of_row(request_id: str) -> str:
    """`<id>` of `<id>#<n>`; the id itself when it names no row."""
    request, _, row = request_id.rpartition("#")
    return request if request and row.isascii() and row.isdecimal() else request_id
