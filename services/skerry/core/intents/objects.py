"""What an intent is read from, and what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """An object as stored."""

    name: str
    spec: Json
    status: Json
    labels: Mapping[str, str] = field(default_factory=dict)  # of the object, not of what it describes


@dataclass(frozen=True, slots=True)
class Patch:
    """A JSON merge patch of the spec of an existing object."""

    kind: str
    name: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Creation:
    kind: str
    name: str
    spec: dict[str, Any]
