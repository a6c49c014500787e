"""How people's intents are written, for the command line and the dashboard alike.

Read, ask `core.intents`, write against what was read. Where the object was written meanwhile, the act is decided again
on what it is now, and carried out only if what it rests on is the same: an act is never decided anew in silence.
"""

from collections.abc import Callable

from skerry.adapters.objects.protocol import Object, Objects
from skerry.core import errors, intents, writers

_TRIES = 5


def known(thing: Object) -> intents.Known:
    return intents.Known(thing.name, thing.spec, thing.status, thing.labels)


def create(store: Objects, creation: intents.Creation) -> Object:
    """Raises ConflictError where the name is taken."""
    return store.create(creation.kind, creation.name, creation.spec, manager=writers.OPERATOR)


def change(store: Objects, kind: str, name: str, intent: Callable[[intents.Known], intents.Patch]) -> intents.Patch:
    """Write an intent on an object. Raises ConflictError where somebody else changed what it was decided on."""
    first: intents.Patch | None = None
    for _ in range(_TRIES):
        thing = store.get(kind, name)
        patch = intent(known(thing))
        first = first or patch
        intents.still(first, patch)
        try:
            store.patch(kind, name, manager=writers.OPERATOR, spec=patch.spec, resource_version=thing.resource_version)
            return patch
        except errors.ConflictError:
            continue
    raise _busy(kind, name)


def delete(store: Objects, kind: str, name: str, intent: Callable[[intents.Known], intents.Deletion]) -> None:
    """Delete an object, if `intent` lets it be as it is when it is deleted."""
    for _ in range(_TRIES):
        thing = store.get(kind, name)
        intent(known(thing))
        try:
            store.delete(kind, name, resource_version=thing.resource_version)
            return
        except errors.ConflictError:
            continue
    raise _busy(kind, name)


def _busy(kind: str, name: str) -> errors.UnavailableError:
    return errors.UnavailableError(f"{kind} {name} is changed by others all the time; nothing was done: try again")
