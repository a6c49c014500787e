"""Takes a desired state apart: assignments go to the updater, policies to the cascade, erasures to what carries them
out; all are remembered."""

import json
from typing import Any

from skerry.adapters.telemetry import logs
from skerry.agent.cascade import Cascade
from skerry.agent.erased import Erased
from skerry.agent.update import updater
from skerry.agent.update.ledger import Ledger, Pointers
from skerry.core import errors, privacy, specs
from skerry.proto import fleet_pb2

log = logs.logger("agent.intake")
_MAX_POLICY_BYTES = 64 << 10
_CLOSED = json.dumps({"privacy": {"keep": privacy.CLOSED.keep, "leave": privacy.CLOSED.leave}})


class Applier:
    def __init__(self, updates: updater.Updater, cascade: Cascade, erased: Erased) -> None:
        self._updater, self._cascade, self._erased = updates, cascade, erased

    async def apply(self, desired: fleet_pb2.DesiredState) -> None:
        """Act on a desired state; one from a deposed leader (stale epoch) changes nothing. Raises UnavailableError: the
        disk is full."""
        if not await self._updater.assign(desired):
            return
        # All at once, before anything is waited for: no row is answered under the policy of before.
        taken = {
            one.model: _set_policy(
                self._cascade, one.model, one.policy_json or one.offload_json, is_private=bool(one.policy_json)
            )
            for one in desired.assignments
            if one.policy_json or one.offload_json
        }
        try:
            if await self._erased.carry_out(desired):
                self._updater.changed.set()
        finally:  # an erasure that is still to be told again leaves no stricter policy forgotten
            for model, policy in taken.items():
                if policy:
                    await self._updater.write(self._updater.ledger.set_policy, model, policy)
        if desired.retired:
            await self._forget(frozenset(desired.retired))
        for one in desired.assignments:
            if _set_warn(self._cascade, one.model, one.warn_json):
                await self._updater.write(self._updater.ledger.set_warn, one.model, one.warn_json.decode())

    async def _forget(self, retired: frozenset[str]) -> None:
        """Their golden sets hold erased rows: none is kept beside the version that serves. What serves goes on."""
        ledger = self._updater.ledger
        for model in ledger.models():
            pointers = ledger.pointers(model)
            if pointers.last_known_good is not None and pointers.last_known_good.digest in retired:
                await self._updater.write(ledger.point, model, Pointers(pointers.active))
                await self._updater.prune()
                self._updater.changed.set()


def restore(ledger: Ledger, cascade: Cascade) -> None:
    """The policies that were last assigned, before any gateway is heard."""
    for model in ledger.models():
        policy = ledger.policy(model)
        if policy is not None:
            _set_policy(cascade, model, policy.encode(), is_private='"privacy"' in policy)
        _set_warn(cascade, model, ledger.warn(model).encode())


def _set_policy(cascade: Cascade, model: str, policy: bytes, *, is_private: bool) -> str:
    """What is to be remembered of it. Of a policy that cannot be read nothing is, and the one before stays in force;
    one that names a privacy (`is_private`) is then taken for the strictest."""
    try:
        read = specs.parse_node_policy(_fields(policy), model)
    except (ValueError, RecursionError, errors.InputError) as exc:
        if is_private:
            cascade.set_policy(model, specs.OffloadSpec(), privacy.CLOSED)
            log.error("privacy_unreadable", model=model, message=f"{exc}; nothing is kept and nothing leaves")
            return _CLOSED
        log.error("offload_policy_unreadable", model=model, message=f"{exc}; the policy before stays in force")
        return ""
    cascade.set_policy(model, read.offload, read.privacy)
    return policy.decode()


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
    fields = json.loads(policy.decode())
    if not isinstance(fields, dict):
        raise errors.InputError("it is no JSON object")
    return fields
