"""May this node enrol with this token? Join tokens as text, and the decision, with a reason for people.

`skr1.<id>.<secret>.<sha256 hex of the CA's certificate>`: the id finds the JoinToken object, which holds only the
secret's hash; the last part lets a node that knows nothing yet check to whom it gives the secret. A token is used once
per node, and a token that is used up lets nobody new in: nothing is written for a name that no token stood for. A node
that is known and comes back with another key waits until a person approves that key; so many wait by one token, and
not for ever. A key that is approved needs no token any more: its request is signed by it, and a node that was away for
longer than its certificate was good comes back.

The token's object counts its uses and lists the newest of them: long enough for a node whose answer was lost to ask
again. Which token let a node in, its own object says (the label JOINED_BY).
"""

import enum
import fnmatch
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from skerry.core import digests, errors
from skerry.core.specs.reader import Reader, read

MAX_USES = 20_000
MAX_LISTED = 24  # uses that the object's status names: with names of 253 characters, and who waits, below 16 KiB
_MAX_LISTED_BEFORE = 2_000  # the release before named every use
JOINED_BY = "skerry.dev/join-token"  # label of an EdgeNode's object
MAX_WAITING = 16  # nodes at once whose new key waits for approval by one token
WAITING_MS = 86_400_000  # a key that did not ask again for so long waits no more
_REFRESH_MS = WAITING_MS // 4  # a key that goes on asking is written down anew so often
_PATTERN = re.compile(r"[a-z0-9.*?-]+")  # what names of nodes are made of, and two wildcards
_FORM = re.compile(r"skr1\.([a-z0-9]{4,32})\.([A-Za-z0-9_-]{20,64})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Token:
    """What a person hands to a node. `ca_digest`: `sha256:` of the CA certificate's DER."""

    id: str
    secret: str
    ca_digest: str

    def __str__(self) -> str:
        return f"skr1.{self.id}.{self.secret}.{digests.hex_of(self.ca_digest)}"


@dataclass(frozen=True, slots=True)
class Use:
    """A node that has used a token, and the digest of the key it came with."""

    node: str
    key: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A node that came by a token with a key that a person must approve, and when it last asked (Unix ms)."""

    node: str
    key: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class JoinToken:
    """JoinToken.spec and its status. `node_pattern` has `*` and `?`; `labels` are given to the nodes. `used`: the
    newest uses, of `used_count`."""

    id: str
    secret_hash: str
    expires_ms: int
    uses: int = 1
    node_pattern: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)
    used: tuple[Use, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    used_before: int = 0  # uses that are named no more

    @property
    def used_count(self) -> int:
        return self.used_before + len(self.used)


@dataclass(frozen=True, slots=True)
class EnrolledNode:
    """What EdgeNode.spec says of a node that exists: the key that may speak for it (empty: none yet)."""

    approved_key: str
    revoked: bool


class Outcome(enum.Enum):
    ISSUE = "Issue"
    WAIT = "Wait"
    REFUSE = "Refuse"


class Reason(enum.StrEnum):
    KEY_APPROVED = "KeyApproved"
    ANSWER_REPEATED = "AnswerRepeated"
    TOKEN_VALID = "TokenValid"
    TOKEN_UNKNOWN = "TokenUnknown"
    TOKEN_EXPIRED = "TokenExpired"
    TOKEN_FOR_OTHERS = "TokenForOthers"
    TOKEN_USED_UP = "TokenUsedUp"
    NODE_REVOKED = "NodeRevoked"
    KEY_CHANGED = "KeyChanged"
    KEY_NOT_APPROVED = "KeyNotApproved"


@dataclass(frozen=True, slots=True)
class Decision:
    """`consumes`: the token has one use less from now on."""

    outcome: Outcome
    reason: Reason
    message: str
    consumes: bool = False


def parse(text: str) -> Token:
    """Raises InputError without repeating the secret."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise errors.InputError("a join token looks like skr1.<id>.<secret>.<64 hex digits>; copy it whole")
    return Token(match[1], match[2], f"sha256:{match[3]}")


def check_pattern(pattern: str) -> str:
    """`pattern`, as a token's `nodePattern`. Raises InputError for what fits no name of a node, like `[a-z]`, which
    other tools read as a class of characters."""
    if not _PATTERN.fullmatch(pattern):
        raise errors.InputError(
            f"pattern {pattern[:80]!r} fits no name of a node: it takes lower-case letters, digits, '-' and '.', "
            "* for any text and ? for one character; there are no classes like [a-z]"
        )
    return pattern


def secret_hash(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def parse_object(name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> JoinToken:
    """A JoinToken as stored. Raises InputError naming the field."""
    used, waiting, count = read(
        "JoinToken",
        name,
        "status",
        status,
        lambda reader: (
            reader.each("nodes", _use, _MAX_LISTED_BEFORE),
            reader.each("waiting", _waiting, MAX_USES),
            reader.integer("used", 0, 0, MAX_USES),
        ),
    )
    token = read("JoinToken", name, "spec", spec, lambda reader: _token(name, reader, used))
    return replace(token, waiting=waiting, used_before=max(0, count - len(used)))


def with_use(status: Mapping[str, Any], token: JoinToken, use: Use, now_ms: int) -> dict[str, Any]:
    """What changes in JoinToken.status (`token` was read from it) when the token is used once more. `used` is written
    once there are more uses than are named: a gateway of the release before reads no such token, and lets nobody in by
    it, since it would count too few."""
    named = [*status.get("nodes", []), use_json(use, now_ms)]
    count = token.used_count + 1
    if count <= MAX_LISTED:
        return {"nodes": named}
    return {"nodes": named[-MAX_LISTED:], "used": count}


def used_of(status: Mapping[str, Any]) -> int:
    """How often a JoinToken was used, of an object that may be wrong."""
    named, count = status.get("nodes"), status.get("used")
    return max(len(named) if isinstance(named, list) else 0, count if isinstance(count, int) else 0)


def use_json(use: Use, now_ms: int) -> dict[str, Any]:
    """As JoinToken.status.nodes holds it."""
    return {"name": use.node, "keyDigest": use.key, "atUnixMs": now_ms}


def waiting_json(waiting: Sequence[Waiting]) -> list[dict[str, Any]]:
    """As JoinToken.status.waiting holds it."""
    return [{"name": one.node, "keyDigest": one.key, "atUnixMs": one.at_ms} for one in waiting]


def waits(token: JoinToken, node: str, key: str, *, now_ms: int) -> Sequence[Waiting] | None:
    """Who waits by this token once this key does, or what waits already when nothing needs to be written. None: too
    many do. Those that did not ask again in time are left out."""
    fresh = tuple(one for one in token.waiting if 0 <= now_ms - one.at_ms < WAITING_MS)
    mine = next((one for one in fresh if one.node == node), None)
    if mine is not None and mine.key == key and now_ms - mine.at_ms < _REFRESH_MS:
        return token.waiting
    others = tuple(one for one in fresh if one.node != node)
    return None if len(others) >= MAX_WAITING else (*others, Waiting(node, key, now_ms))


def waiting_key(approved_key: str, status: Mapping[str, Any], *, now_ms: int) -> str:
    """The key of an EdgeNode that waits for approval, empty when none does or it asked too long ago. `status` is the
    node's; an earlier release did not write down when."""
    key, asked_ms = str(status.get("waitingKey") or ""), status.get("waitingUnixMs")
    is_over = isinstance(asked_ms, int) and now_ms - asked_ms >= WAITING_MS
    return "" if key == approved_key or is_over else key


def decide(
    token: JoinToken | None, secret: str, known: EnrolledNode | None, node: str, key: str, *, now_ms: int
) -> Decision:
    """`key` is the digest of the public key that asks. A wrong secret and an unknown token get the same reason."""
    if known is not None and known.approved_key == key and not known.revoked:
        return Decision(Outcome.ISSUE, Reason.KEY_APPROVED, "the key is approved")
    if token is None or not hmac.compare_digest(secret_hash(secret), token.secret_hash):
        return Decision(
            Outcome.REFUSE, Reason.TOKEN_UNKNOWN, "no such join token: make one with `skerry nodes token create`"
        )
    if known is not None and known.revoked and known.approved_key == key:
        return Decision(Outcome.REFUSE, Reason.NODE_REVOKED, f"node {node} is revoked")
    if now_ms >= token.expires_ms:
        return Decision(Outcome.REFUSE, Reason.TOKEN_EXPIRED, f"join token {token.id} has expired: make another one")
    if not _fits(node, token.node_pattern):
        return Decision(
            Outcome.REFUSE,
            Reason.TOKEN_FOR_OTHERS,
            f"join token {token.id} is for nodes {token.node_pattern!r}, not {node!r}",
        )
    if known is not None:
        return _wait(known, node)
    earlier = next((use for use in token.used if use.node == node), None)
    if earlier is not None and earlier.key == key:
        return Decision(Outcome.ISSUE, Reason.ANSWER_REPEATED, "the token was used by this very node and key")
    if earlier is not None:
        text = f"node {node} used join token {token.id} with another key, and is known no more: make another token"
        return Decision(Outcome.REFUSE, Reason.KEY_CHANGED, text)
    if token.used_count >= token.uses:
        text = f"join token {token.id} is used up ({token.uses}): make another one with `skerry nodes token create`"
        return Decision(Outcome.REFUSE, Reason.TOKEN_USED_UP, text)
    return Decision(Outcome.ISSUE, Reason.TOKEN_VALID, f"join token {token.id} lets it in", consumes=True)


def _wait(known: EnrolledNode, node: str) -> Decision:
    """A node that there is, with a key that is not the approved one."""
    approve = f"a person must approve it: skerry nodes approve {node}"
    if known.revoked:  # with another key: its replacement may be approved, it may not
        return Decision(Outcome.WAIT, Reason.NODE_REVOKED, f"node {node} is revoked; {approve}")
    if known.approved_key:
        return Decision(
            Outcome.WAIT, Reason.KEY_CHANGED, f"node {node} has enrolled before with another key; {approve}"
        )
    return Decision(
        Outcome.WAIT, Reason.KEY_NOT_APPROVED, f"node {node} is known and its key is not approved; {approve}"
    )


def _fits(node: str, pattern: str) -> bool:
    """`[` is no class of characters: a pattern that was stored with one fits no node."""
    return fnmatch.fnmatchcase(node, pattern.replace("[", "[[]"))


def _token(name: str, reader: Reader, used: Sequence[Use]) -> JoinToken:
    return JoinToken(
        id=name,
        secret_hash=reader.digest("secretHash"),
        expires_ms=reader.integer("expiresUnixMs", None, 1),
        uses=reader.integer("uses", 1, 1, MAX_USES),
        node_pattern=reader.text("nodePattern", "*", limit=120),
        labels=_labels(reader),
        used=tuple(used),
    )


def _labels(reader: Reader) -> Mapping[str, str]:
    labels = reader.mapping("labels", {})
    for key, value in labels.items():
        if not isinstance(value, str):
            raise reader.fault(f"labels.{key}", f"must be a text, not {value!r}")
    return dict(labels)


def _use(reader: Reader) -> Use:
    reader.integer("atUnixMs", 0)
    return Use(reader.text("name", None), reader.digest("keyDigest"))


def _waiting(reader: Reader) -> Waiting:
    return Waiting(reader.text("name", None), reader.digest("keyDigest"), reader.integer("atUnixMs", 0))
