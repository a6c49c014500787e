"""Tickets: what lets a training job read and write, through the gateway, exactly the blobs of its own run.

A ticket is `<run>.<expiry in Unix seconds>.<HMAC-SHA256 in hex>`. The holder of the key issues and checks them; nothing
is stored. What a ticket opens is the table `RULES`; whether its run still goes on is for the gateway to find out.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.core import contract, errors

MIN_KEY_BYTES, MAX_KEY_BYTES = 32, 4096
MAX_TICKET_CHARS = 400
READ, WRITE = ("GET", "HEAD"), ("PUT",)

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_EXPIRY = re.compile(r"[1-9][0-9]{0,11}")
_HEX = re.compile(r"[0-9a-f]{64}")
_CONTENT = re.compile(r"sha256/([0-9a-f]{2})/\1[0-9a-f]{62}")
_DATASET = re.compile(r"datasets/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}/[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Blobs at `pattern`, in which `{run}` stands for the ticket's run, may be asked for by `methods`."""

    pattern: re.Pattern[str] | str
    methods: Sequence[str]


RULES = (
    Rule(_CONTENT, (*READ, *WRITE)),
    Rule(_DATASET, READ),
    Rule(contract.snapshot_path("{run}"), READ),
    Rule(contract.proposal_path("{run}"), WRITE),
)


def check_key(key: bytes) -> bytes:
    """`key` when it is long enough to be one. Raises InputError."""
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise errors.InputError(
            f"the key of tickets has {len(key)} bytes; it must have {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random ones"
        )
    return key


def issue(key: bytes, run: str, expires_unix_s: int) -> str:
    """The ticket of `run`. Raises InputError for a name that no path may hold."""
    if not _RUN.fullmatch(run):
        raise errors.InputError(f"TrainingRun {run[:80]!r} must be named by letters, digits, '.', '_' and '-'")
    return f"{run}.{expires_unix_s}.{_sign(key, run, str(expires_unix_s))}"


def check(key: bytes, ticket: str, *, now_unix_s: int) -> str:
    """The run that the ticket is for. Raises RejectedError: no ticket, not of this key, or expired."""
    parts = ticket.rsplit(".", 2) if len(ticket) <= MAX_TICKET_CHARS else []
    if len(parts) != 3 or not (_RUN.fullmatch(parts[0]) and _EXPIRY.fullmatch(parts[1]) and _HEX.fullmatch(parts[2])):
        raise errors.RejectedError("this is no ticket of a training job")
    run, expiry, signature = parts
    if not hmac.compare_digest(signature, _sign(key, run, expiry)):
        raise errors.RejectedError(f"the ticket of run {run} was not made with this gateway's key")
    if now_unix_s >= int(expiry):
        raise errors.RejectedError(f"the ticket of run {run} expired {now_unix_s - int(expiry)} s ago")
    return run


def why_denied(path: str, method: str, run: str) -> str:
    """Why the ticket of `run` does not let `method` at blob `path`; empty: it does."""
    for rule in RULES:
        matches = rule.pattern.fullmatch(path) if isinstance(rule.pattern, re.Pattern) else None
        if matches or path == (rule.pattern.replace("{run}", run) if isinstance(rule.pattern, str) else None):
            if method in rule.methods:
                return ""
            return f"a training job may {' and '.join(rule.methods)} {path}, not {method} it"
    return (
        f"the ticket of run {run} opens sha256/*, datasets/*, {contract.snapshot_path(run)} and "
        f"{contract.proposal_path(run)}, not {path[:120]}"
    )


def _sign(key: bytes, run: str, expiry: str) -> str:
    return hmac.new(key, f"skerry ticket 1\n{run}\n{expiry}".encode(), hashlib.sha256).hexdigest()
