"""What the one-machine system tells of itself: the default fleet, and the description that commands find it by."""

import contextlib

from skerry.adapters.objects.protocol import Objects
from skerry.cli import system_file
from skerry.cli.system.supervisor import System
from skerry.core import errors, writers

DEFAULT_FLEET = "all"


def ensure_default(store: Objects) -> None:
    """Every node belongs to the fleet `all` unless somebody makes others."""
    with contextlib.suppress(errors.ConflictError):
        store.create("EdgeFleet", DEFAULT_FLEET, {"selector": {}}, manager=writers.OPERATOR)
