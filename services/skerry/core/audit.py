"""What people did: one record per act, written before the act, its outcome after it. Pure.

A record without an outcome is of an act that may have happened: whoever acted died in between (`UNKNOWN`). Neither a
record nor its outcome is ever changed (`adapters.objects.rules`, and the schema in k8s/crds for whoever comes past it).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.core import errors, writers
from skerry.core.specs.reader import Reader, read

KIND, ABOUT = "AuditRecord", "skerry.dev/about"
APPLIED, REFUSED, CONFLICT, FAILED, UNKNOWN = "Applied", "Refused", "Conflict", "Failed", "Unknown"
PAST = "PastSkerry"  # of a write that no record tells of
OUTCOMES = (APPLIED, REFUSED, CONFLICT, FAILED)  # that are written
MAX_TEXT, MAX_REASON = 256, 2_048  # characters
MAX_PART, _MAX_VALUE = 4_096, 1_024  # bytes of JSON: of all of `seen`, `before` or `after`, and of one field of it
_SECRET = frozenset({("JoinToken", "secretHash")})

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a name, the role it acts in (empty: whoever may write there), through what, and from which machine."""

    by: str
    role: str = ""
    via: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """`before` and `after` hold the fields of the spec that the act is about; what is too long to keep stands there as
    its size and digest. `seen` is what the act was decided on."""

    name: str
    at_unix_ms: int
    actor: Actor
    action: str
    kind: str
    object: str
    reason: str = ""
    seen: Json = field(default_factory=dict)
    before: Json = field(default_factory=dict)
    after: Json = field(default_factory=dict)
    outcome: str = UNKNOWN
    message: str = ""

    @property
    def about(self) -> str:
        return f"{self.kind}/{self.object}"


def label(kind: str, object_name: str) -> tuple[str, str]:
    """By which an API server finds the records about one object; a value has at most 63 characters."""
    return ABOUT, hashlib.sha256(f"{kind}/{object_name}".encode()).hexdigest()[:40]


def name(at_unix_ms: int, token: str) -> str:
    """Sorts by time. `token` keeps the names of one millisecond apart."""
    return f"{at_unix_ms:013d}-{token}"


def spec(
    actor: Actor, action: str, kind: str, object_name: str, *, at_unix_ms: int, reason: str = "",
    seen: Json | None = None, before: Json | None = None, after: Json | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Of a new record. Raises InputError for a reason that is too long; all else is shortened."""
    if len(reason) > MAX_REASON:
        raise errors.InputError(f"a reason has at most {MAX_REASON} characters, not {len(reason)}")
    texts = {"by": actor.by, "role": actor.role, "via": actor.via, "host": actor.host, "action": action}
    return {
        "atUnixMs": at_unix_ms,
        **{key: text[:MAX_TEXT] for key, text in texts.items()},
        "kind": kind,
        "object": object_name[:MAX_TEXT],
        "reason": reason,
        **{part: _kept(kind, given or {}) for part, given in (("seen", seen), ("before", before), ("after", after))},
    }  # the last three as JSON text: rules of a schema compare text, and not what it does not know


def outcome_of(error: errors.SkerryError | None) -> tuple[str, str]:
    """What an act came to, and in which words. A store that did not answer may have done it (`FAILED` says so)."""
    if error is None:
        return APPLIED, ""
    if isinstance(error, errors.ConflictError):
        return CONFLICT, str(error)
    if isinstance(error, errors.RejectedError | errors.InputError | errors.NotFoundError | errors.TooLargeError):
        return REFUSED, str(error)
    return FAILED, str(error)


def status(outcome: str, message: str, at_unix_ms: int) -> dict[str, Any]:
    return {"outcome": outcome, "message": message[:1_024], "atUnixMs": at_unix_ms}


def parse(record: str, given: Json, outcome: Json) -> Record:
    """Raises InputError naming the field. An outcome that cannot be read is `UNKNOWN`."""
    said = outcome.get("outcome")
    parsed = read(KIND, record, "spec", given, lambda reader: _record(record, reader))
    if said not in OUTCOMES:
        return parsed
    return Record(**{**_fields(parsed), "outcome": said, "message": str(outcome.get("message", ""))[:1_024]})


def past(kind: str, object_name: str, manager: str, part: str, at_unix_ms: int) -> Record:
    """A write by another program, as the object itself tells it: no record says who used it, or why."""
    actor = Actor("", via=manager)
    return Record(name(at_unix_ms, ""), at_unix_ms, actor, f"write {part}", kind, object_name, outcome=PAST)


@dataclass(frozen=True, slots=True)
class Query:
    """Which records are asked for; what is empty is not asked for."""

    about: str = ""  # Kind/name, or either
    by: str = ""
    action: str = ""
    outcome: str = ""
    since_unix_ms: int = 0

    def takes(self, record: Record) -> bool:
        return (
            (not self.about or self.about in (record.about, record.kind, record.object))
            and self.by in ("", record.actor.by)
            and self.action in ("", record.action)
            and self.outcome in ("", record.outcome)
            and record.at_unix_ms >= self.since_unix_ms
        )


def newest(records: Iterable[Record], query: Query, limit: int) -> Sequence[Record]:
    """The newest first, at most `limit`."""
    found = sorted((one for one in records if query.takes(one)), key=lambda one: one.name, reverse=True)
    return found[:limit]


def beyond(records: Sequence[str], *, now_ms: int, keep_days: int) -> Sequence[str]:
    """Names of the records that are older than `keep_days`, the oldest first. Their names say when they were made; one
    with another name stays."""
    end = name(max(0, now_ms - keep_days * 86_400_000), "")
    return sorted(one for one in records if one < end and one[:13].isdigit() and one[13:14] == "-")


def archived(record: Record) -> dict[str, Any]:
    """As JSON for programs and for the archive."""
    return {
        "name": record.name,
        "atUnixMs": record.at_unix_ms,
        "by": record.actor.by,
        "role": record.actor.role,
        "via": record.actor.via,
        "host": record.actor.host,
        "action": record.action,
        "kind": record.kind,
        "object": record.object,
        "reason": record.reason,
        "seen": dict(record.seen),
        "before": dict(record.before),
        "after": dict(record.after),
        "outcome": record.outcome,
        "message": record.message,
    }


def _record(record: str, reader: Reader) -> Record:
    def text(key: str, default: str | None = "") -> str:
        return reader.text(key, default, limit=MAX_TEXT)

    return Record(
        record,
        reader.integer("atUnixMs", None),
        Actor(text("by", None), text("role"), text("via"), text("host")),
        text("action", None),
        reader.text("kind", None, among=sorted(writers.CREATORS)),
        text("object", None),
        reader.text("reason", "", limit=MAX_REASON),
        _json(reader, "seen"),
        _json(reader, "before"),
        _json(reader, "after"),
    )


def _json(reader: Reader, key: str) -> Json:
    try:
        found = json.loads(reader.text(key, "{}", limit=MAX_PART))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise reader.fault(key, "must be the JSON text of an object")
    return found


def _fields(record: Record) -> dict[str, Any]:
    return {key: getattr(record, key) for key in Record.__dataclass_fields__}


def _kept(kind: str, given: Json) -> str:
    kept = _text({key: _short(kind, key, value) for key, value in given.items()})
    if len(kept) > MAX_PART:
        kept = _text({"fields": len(given), "bytes": len(kept), "sha256": _sha256(given)})
    return kept


def _short(kind: str, key: str, value: object) -> object:
    if (kind, key) in _SECRET:
        return "(not kept)"
    size = len(_text(value))
    return value if size <= _MAX_VALUE else {"bytes": size, "sha256": _sha256(value)}


def _sha256(value: object) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()


def _text(value: object) -> str:
    """ASCII, so that characters are bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
