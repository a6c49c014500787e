"""How commands act on custom resources: read, ask `core.intents` whether it is legal, write against what was read."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.adapters import objects
from skerry.adapters.objects.protocol import Object, Objects
from skerry.cli import system_file
from skerry.core import errors, intents, specs, writers

_TRIES = 5


def store_of(state: Path) -> Objects:
    """The object store of the running system. Raises UnavailableError when none runs."""
    return objects.open_objects(system_file.read(state).objects)


def suffix() -> str:
    """Makes the name of a new object unique: seconds in base 36 would do, milliseconds never meet."""
    return f"{time.time_ns() // 1_000_000:x}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def create(store: Objects, made: intents.Creation) -> Object:
    return store.create(made.kind, made.name, made.spec, manager=writers.OPERATOR)


def change(store: Objects, name: str, intent: Callable[[intents.Known], intents.Patch]) -> intents.Patch:
    """Ask for an intent on a rollout and write it; decided again when somebody wrote meanwhile."""
    for _ in range(_TRIES):
        thing = store.get("ModelRollout", name)
        patch = intent(known(thing))
        try:
            store.patch(
                patch.kind,
                patch.name,
                manager=writers.OPERATOR,
                spec=patch.spec,
                resource_version=thing.resource_version,
            )
            return patch
        except errors.ConflictError:
            continue
    raise errors.UnavailableError(f"{name} is written by others all the time; try again")


def known(thing: Object) -> intents.Known:
    return intents.Known(thing.name, thing.spec, thing.status)


def condition(thing: Object, kind: str) -> Mapping[str, Any]:
    """The condition of that type; empty when it was never set."""
    return next((one for one in thing.status.get("conditions", []) if one.get("type") == kind), {})


def published(store: Objects, model: str) -> dict[str, specs.ModelVersion]:
    """The versions of a model that can be rolled out, by name."""
    return {
        one.name: specs.parse_model_version(one.name, one.spec)
        for one in store.list("ModelVersion")
        if one.spec.get("model") == model and condition(one, "Available").get("status") == "True"
    }


def oldest_first(things: Sequence[Object]) -> list[Object]:
    return sorted(things, key=lambda one: (one.created_unix_ms, one.name))


def offline_after_s(store: Objects, node: Object) -> int:
    """After how long a silence this node counts as offline: the shortest time of the fleets it belongs to."""
    fleets = [specs.parse_fleet(one.name, one.spec) for one in store.list("EdgeFleet")]
    parsed = specs.parse_node(node.name, node.spec, node.status)
    return min((fleet.offline_after_s for fleet in fleets if fleet.selects(parsed)), default=15)
