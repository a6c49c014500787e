"""Takes a desired state apart: assignments go to the updater, offload policies to the cascade, erasures to what carries
them out; all are remembered."""

import json
from typing import Any

from skerry.adapters.telemetry import logs
from skerry.agent.cascade import Cascade
from skerry.agent.erased import Erased
from skerry.agent.update import updater
from skerry.agent.update.ledger import Ledger
from skerry.core import errors, specs
from skerry.proto import fleet_pb2

log = logs.logger("agent.intake")
_MAX_POLICY_BYTES = 64 << 10


class Applier:
    def __init__(self, updates: updater.Updater, cascade: Cascade, erased: Erased) -> None:
        self._updater, self._cascade, self._erased = updates, cascade, erased

    async def apply(self, desired: fleet_pb2.DesiredState) -> None:
        """Act on a desired state; one from a deposed leader (stale epoch) changes nothing. Raises UnavailableError: the
        disk is full."""
        if not await self._updater.assign(desired):
            return
        if await self._erased.carry_out(desired):
            self._updater.changed.set()
        for assignment in desired.assignments:
            policy, warn = assignment.offload_json, assignment.warn_json
            if policy and _set_policy(self._cascade, assignment.model, policy):
                await self._updater.write(self._updater.ledger.set_policy, assignment.model, policy.decode())
            if _set_warn(self._cascade, assignment.model, warn):
                await self._updater.write(self._updater.ledger.set_warn, assignment.model, warn.decode())


def restore(ledger: Ledger, cascade: Cascade) -> None:
    """The policies that were last assigned, before any gateway is heard."""
    for model in ledger.models():
        policy = ledger.policy(model)
        if policy is not None:
            _set_policy(cascade, model, policy.encode())
        _set_warn(cascade, model, ledger.warn(model).encode())


def _set_policy(cascade: Cascade, model: str, policy: bytes) -> bool:
    """A policy that cannot be read leaves the one before in force."""
    try:
        cascade.set_policy(model, specs.parse_offload(_fields(policy), model))
    except (ValueError, RecursionError, errors.InputError) as exc:
        log.error("offload_policy_unreadable", model=model, message=f"{exc}; the policy before stays in force")
        return False
    return True


def _set_warn(cascade: Cascade, model: str, policy: bytes) -> bool:
    """As `_set_policy`; an empty one warns of nothing."""
    try:
        cascade.set_warn_policy(model, specs.parse_warn(_fields(policy), model) if policy else None)
    except (ValueError, RecursionError, errors.InputError) as exc:
        log.error("warn_policy_unreadable", model=model, message=f"{exc}; the policy before stays in force")
        return False
    return True


def _fields(policy: bytes) -> dict[str, Any]:
    """Raises InputError and ValueError."""
    if len(policy) > _MAX_POLICY_BYTES:
        raise errors.TooLargeError(f"it has {len(policy)} bytes, at most {_MAX_POLICY_BYTES} are read")
    fields = json.loads(policy)
    if not isinstance(fields, dict):
        raise errors.InputError("it is no JSON object")
    return fields
