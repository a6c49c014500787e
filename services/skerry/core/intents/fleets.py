"""What people may ask of fleets."""

from collections.abc import Mapping
from typing import Any

from skerry.core import specs
from skerry.core.intents.objects import Creation


def create_fleet(
    name: str,
    selector: Mapping[str, str],
    *,
    max_unavailable: int | str | None = None,
    offline_after_s: int | None = None,
) -> Creation:
    """The nodes with all labels of `selector` (none: every node); what is None keeps its default. Raises InputError
    naming the field."""
    given = {"selector": dict(selector), "maxUnavailable": max_unavailable, "offlineAfterSeconds": offline_after_s}
    spec: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    specs.parse_fleet(name, spec)
    return Creation("EdgeFleet", name, spec)
