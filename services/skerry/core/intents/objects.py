"""What an intent is read from, and what it comes to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core import errors

Json = Mapping[str, Any]
_SHOWN_CHARS = 120  # of a value, in a sentence


@dataclass(frozen=True, slots=True)
class Known:
    """An object as stored."""

    name: str
    spec: Json
    status: Json
    labels: Mapping[str, str] = field(default_factory=dict)  # of the object, not of what it describes


@dataclass(frozen=True, slots=True)
class Patch:
    """A JSON merge patch of the spec of an existing object. `seen`: what it was decided on; where that is another when
    the patch is written, it is not written (`still`)."""

    kind: str
    name: str
    spec: dict[str, Any]
    seen: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Creation:
    kind: str
    name: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deletion:
    """Of the object that was looked at, and of none that was written since."""

    kind: str
    name: str


def still(first: Patch, now: Patch) -> None:
    """An act that is decided again because the object was written meanwhile must rest on the same as at first. Raises
    ConflictError telling what differs."""
    differs = [key for key in {**first.seen, **now.seen} if first.seen.get(key) != now.seen.get(key)]
    if differs:
        told = ", ".join(f"{key} was {_short(first.seen.get(key))}, is {_short(now.seen.get(key))}" for key in differs)
        raise errors.ConflictError(
            f"{now.kind} {now.name} was changed by somebody else meanwhile ({told}): nothing was done. Look again, and "
            "decide again"
        )


def _short(value: object) -> str:
    return json.dumps(value, default=str)[:_SHOWN_CHARS]
