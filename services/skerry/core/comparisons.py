"""Since when rollouts compare versions: what is answered from then on is their evidence (`core.evidence_counters`)."""

from collections.abc import Iterable, Mapping
from typing import Any

from skerry.core.rollout.status import TERMINAL


def since(status: Mapping[str, Any]) -> int | None:
    """Of ModelRollout.status, read with distrust: the moment (Unix ms), or None when nothing is compared."""
    since_ms = status.get("evidenceSinceUnixMs")
    if status.get("state") in TERMINAL or type(since_ms) is not int or since_ms <= 0:
        return None
    return since_ms


def by_model(rollouts: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Mapping[str, frozenset[int]]:
    """Of (spec, status) of each rollout."""
    found: dict[str, frozenset[int]] = {}
    for spec, status in rollouts:
        model, since_ms = spec.get("model"), since(status)
        if isinstance(model, str) and since_ms is not None:
            found[model] = found.get(model, frozenset()) | {since_ms}
    return found
