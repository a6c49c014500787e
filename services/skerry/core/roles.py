"""Who may see and do what through the dashboard: one table of roles, and the limits of one person's grant. Pure.

Acts are named as the functions of `core.intents`; a test holds the table against them, so that no new act is open to
anybody by accident. A grant may be limited to models or to fleets: what an act is about must then lie within them.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from skerry.core import errors


class Role(enum.StrEnum):
    VIEWER = "viewer"
    LABELER = "labeler"
    OPERATOR = "operator"
    PUBLISHER = "publisher"
    APPROVER = "approver"


class Sight(enum.StrEnum):
    """What a page shows: the fleet's state, or rows as nodes captured them."""

    FLEET = "fleet"
    INPUTS = "inputs"


_RUNNING = frozenset({"pause", "resume", "abort", "promote", "retry", "rollback", "cordon", "label"})
_PUBLISHING = frozenset({"start", "roll_out_again", "retrain"})
_ADMITTING = frozenset(
    {"approve", "revoke", "readmit", "delete_node", "trust", "create_fleet", "create_token", "delete_token"}
)

SIGHTS: Mapping[Role, frozenset[Sight]] = {
    Role.VIEWER: frozenset({Sight.FLEET}),
    Role.LABELER: frozenset({Sight.FLEET, Sight.INPUTS}),
    Role.OPERATOR: frozenset({Sight.FLEET}),
    Role.PUBLISHER: frozenset({Sight.FLEET, Sight.INPUTS}),
    Role.APPROVER: frozenset({Sight.FLEET, Sight.INPUTS}),
}

INTENTS: Mapping[Role, frozenset[str]] = {
    Role.VIEWER: frozenset(),
    Role.LABELER: frozenset(),
    Role.OPERATOR: _RUNNING,
    Role.PUBLISHER: _PUBLISHING,
    Role.APPROVER: _RUNNING | _PUBLISHING | _ADMITTING,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one person holds. Empty `models` or `fleets`: not limited by them."""

    name: str
    role: Role
    models: frozenset[str] = frozenset()
    fleets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """What an act is about. A rollout has one model and one fleet; a node no model (None: all of them) and the fleets
    that it is in."""

    model: str | None = None
    fleets: Collection[str] = ()


def sees(grant: Grant, sight: Sight) -> bool:
    return sight in SIGHTS[grant.role]


def holds(grant: Grant, intent: str) -> bool:
    """May this role do it at all, on something?"""
    return intent in INTENTS[grant.role]


def check(grant: Grant, intent: str, scope: Scope) -> None:
    """Raises errors.ForbiddenError with who lacks what."""
    if not holds(grant, intent):
        able = ", ".join(role for role in Role if intent in INTENTS[role])
        raise errors.ForbiddenError(
            f"{grant.name} is {grant.role}, and {intent} is for {able or 'nobody'}: nothing was done"
        )
    if grant.models and scope.model not in grant.models:
        about = f"model {scope.model}" if scope.model else "every model of the node"
        raise errors.ForbiddenError(
            f"{grant.name} may act on models {', '.join(sorted(grant.models))} alone, and this is about {about}: "
            "nothing was done"
        )
    if grant.fleets and not grant.fleets & set(scope.fleets):
        raise errors.ForbiddenError(
            f"{grant.name} may act on fleets {', '.join(sorted(grant.fleets))} alone, and this is about "
            f"{', '.join(sorted(scope.fleets)) or 'none of them'}: nothing was done"
        )
