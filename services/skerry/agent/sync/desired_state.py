"""Takes a desired state apart: assignments go to the updater, offload policies to the cascade; both are remembered."""

import json

from skerry.adapters.telemetry import logs
from skerry.agent import cascade
from skerry.agent.update import ledger, updater
from skerry.core import errors, specs
from skerry.proto import fleet_pb2

log = logs.logger("agent.intake")
_MAX_POLICY_BYTES = 64 << 10


class Intake:
    def __init__(self, updates: updater.Updater, answers: cascade.Cascade) -> None:
        self._updater, self._cascade = updates, answers

    async def take(self, desired: fleet_pb2.DesiredState) -> None:
        """Act on a desired state; one from a leader of the past changes nothing. Raises UnavailableError: disk full."""
        if not await self._updater.assign(desired):
            return
        for assignment in desired.assignments:
            given = assignment.offload_json
            if given and _apply(self._cascade, assignment.model, given):
                await self._updater.write(self._updater.book.set_policy, assignment.model, given.decode())


def restore(book: ledger.Ledger, answers: cascade.Cascade) -> None:
    """The policies that were last assigned, before any gateway is heard."""
    for model in book.models():
        policy = book.policy(model)
        if policy is not None:
            _apply(answers, model, policy.encode())


def _apply(answers: cascade.Cascade, model: str, policy: bytes) -> bool:
    """A policy that cannot be read leaves the one before in force."""
    try:
        if len(policy) > _MAX_POLICY_BYTES:
            raise errors.TooLargeError(f"it has {len(policy)} bytes, at most {_MAX_POLICY_BYTES} are read")
        fields = json.loads(policy)
        if not isinstance(fields, dict):
            raise errors.InputError("it is no JSON object")
        answers.set_policy(model, specs.parse_offload(fields, model))
    except (ValueError, RecursionError, errors.InputError) as exc:
        log.error("offload_policy_unreadable", model=model, message=f"{exc}; the policy before stays in force")
        return False
    return True
