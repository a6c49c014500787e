"""When a fleet's counts are written: a change of its condition at once, of its numbers alone every few seconds, so that
ten thousand nodes that enrol are a few writes."""

from collections.abc import Mapping
from typing import Any

from skerry.adapters.objects.protocol import Json, Object

EVERY_MS = 5_000
_COUNTS = ("nodes", "online", "offline")


class FleetCounts:
    """Of one leadership."""

    def __init__(self) -> None:
        self._written_ms: dict[str, int] = {}

    def is_due(self, fleet: Object, status: Json, mono_ms: int) -> bool:
        """Is it time to write `status`, which differs from the fleet's? It is taken as written then."""
        if fleet.status == status:
            return False
        last_ms = self._written_ms.get(fleet.name)
        is_soon = last_ms is not None and 0 <= mono_ms - last_ms < EVERY_MS
        if is_soon and _uncounted(fleet.status) == _uncounted(status):
            return False
        self._written_ms[fleet.name] = mono_ms
        return True

    def keep(self, fleets: set[str]) -> None:
        """Forget all others."""
        for gone in self._written_ms.keys() - fleets:
            del self._written_ms[gone]


def _uncounted(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """All but numbers, in a condition's message too."""
    kept = {key: value for key, value in status.items() if key not in (*_COUNTS, "observedGeneration")}
    kept["conditions"] = [
        {key: value for key, value in one.items() if key != "message"} for one in status.get("conditions") or ()
    ]
    return kept
