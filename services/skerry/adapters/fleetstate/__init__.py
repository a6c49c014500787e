"""Live readings and counters: opening them by URL."""

from skerry.adapters.fleetstate.protocol import FleetState

__all__ = ["FleetState", "open_fleetstate"]


def open_fleetstate(url: str) -> FleetState:
    """`redis://…`, `rediss://…` or `unix:///path`."""
    from skerry.adapters.fleetstate.redis import RedisFleetState

    return RedisFleetState(url)
