"""What people may ask of join tokens."""

from collections.abc import Mapping

from skerry.core import join_tokens
from skerry.core.intents.objects import Creation, Deletion, Known


def create_token(
    token: join_tokens.Token, pattern: str, uses: int, labels: Mapping[str, str], *, expires_ms: int
) -> Creation:
    """A permission for `uses` nodes whose names fit `pattern` to enrol, each once, until `expires_ms` (Unix). Of the
    secret only the hash is kept. Raises InputError."""
    spec = {
        "secretHash": join_tokens.secret_hash(token.secret),
        "expiresUnixMs": expires_ms,
        "uses": uses,
        "nodePattern": join_tokens.check_pattern(pattern),
        "labels": dict(labels),
    }
    return Creation("JoinToken", token.id, spec)


def delete_token(known: Known) -> Deletion:
    """No node can enrol with it any more; those that did stay."""
    return Deletion("JoinToken", known.name)
