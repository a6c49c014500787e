"""What was set aside: an example or a stream entry that learning goes on without, and why. A person looks at
it, has it tried again, or drops it.

As a document it lies in object storage beside the examples; a stored field keeps its name.
"""

import json
from dataclasses import dataclass
from typing import Any

from skerry.core import errors

MAX_BYTES = 64 << 10
MAX_MESSAGE_CHARS = 1000
EXAMPLE, ENTRY = "example", "entry"
KINDS = (EXAMPLE, ENTRY)

# Reasons, as people see them.
READER_DIED = "ReaderDied"  # the process that read it died, again and again
READ_FAILED = "ReadFailed"  # reading it failed in a way that nobody foresaw, again and again
TEACHER_FAILED = "TeacherFailed"  # the teacher fails at it, and answers about others
ENTRY_MALFORMED = "EntryMalformed"  # the stream's entry names nothing


@dataclass(frozen=True, slots=True)
class SetAside:
    """`name`: 64 hex digits of the example; of an entry its id. `model` is empty for an entry."""

    model: str
    name: str
    kind: str
    reason: str
    message: str
    at_unix_ms: int

    def to_json(self) -> bytes:
        document = {
            "model": self.model,
            "name": self.name,
            "kind": self.kind,
            "reason": self.reason,
            "message": self.message[:MAX_MESSAGE_CHARS],
            "atUnixMs": self.at_unix_ms,
        }
        return json.dumps(document, sort_keys=True).encode()


def from_json(data: bytes, where: str) -> SetAside:
    """Read and check; fields that are not known are passed over. Raises IntegrityError."""
    try:
        document = json.loads(data)
        texts = {field: _text(document[field]) for field in ("model", "name", "kind", "reason", "message")}
        record = SetAside(**texts, at_unix_ms=_whole(document["atUnixMs"]))
        if record.kind not in KINDS:
            raise ValueError(f"kind {record.kind!r:.40}")
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise errors.IntegrityError(f"{where} is no record of what was set aside: {exc}") from exc
    return record


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r:.40} is no whole number")
    return value
