"""What people read of set-aside examples under `kubectl describe edgemodel`."""

from collections.abc import Callable

from skerry.adapters.events import Events
from skerry.adapters.objects.protocol import Objects
from skerry.core import errors

EVENT = "SetAside"


def events_of_models(objects: Objects, events: Events) -> Callable[[str, str, str], None]:
    """Tells a model, a reason and a sentence as a warning event of the EdgeModel; nothing when that is gone."""

    def tell(model: str, reason: str, message: str) -> None:
        try:
            thing = objects.get("EdgeModel", model)
        except errors.SkerryError:
            return  # the log has it
        events.tell(thing, EVENT, f"{reason}: {message} (`skerry labels aside`)", warning=True)

    return tell
