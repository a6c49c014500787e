"""How commands read custom resources; what they write is `adapters.acts`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.adapters import objects
from skerry.adapters.objects.protocol import Object, Objects
from skerry.cli import system_file
from skerry.core import specs


def store_of(state: Path) -> Objects:
    """The object store of the running system. Raises UnavailableError when none runs."""
    return objects.open_objects(system_file.read(state).objects)


def suffix() -> str:
    """Makes the name of a new object unique: seconds in base 36 would do, milliseconds do not collide."""
    return f"{time.time_ns() // 1_000_000:x}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def condition(thing: Object, kind: str) -> Mapping[str, Any]:
    """The condition of that type; empty when it was never set."""
    return next((entry for entry in thing.status.get("conditions", []) if entry.get("type") == kind), {})


def published(store: Objects, model: str) -> dict[str, specs.ModelVersion]:
    """The versions of a model that can be rolled out, by name."""
    return {
        version.name: specs.parse_model_version(version.name, version.spec)
        for version in store.list("ModelVersion")
        if version.spec.get("model") == model and condition(version, "Available").get("status") == "True"
    }


def oldest_first(things: Sequence[Object]) -> list[Object]:
    return sorted(things, key=lambda thing: (thing.created_unix_ms, thing.name))
