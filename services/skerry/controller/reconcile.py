"""One tick of the controller: look at everything, move everything one step, write only what differs.

Each part is asked on its own, so that one broken object holds up nothing else. A lost lease ends the tick at once.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.adapters.trust import repository as trust
from skerry.controller import marks, policy, publish, retention, rollouts, runs
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors

log = logs.logger("controller")

_HOUSEKEEPING_MS = 30_000


class Reconciler:
    def __init__(
        self,
        store: Store,
        runs_: runs.Runs,
        publisher: publish.Publisher,
        repository: trust.Repository,
        fleetstate: FleetState,
        blobs: Blobs,
    ) -> None:
        self._store, self._runs, self._publisher, self._repository = store, runs_, publisher, repository
        self._rollouts = rollouts.Rollouts(store, fleetstate)
        self._policy = policy.Policy(store, fleetstate, blobs)
        self._kept_house_ms = 0

    def tick(self, epoch: int, now_ms: int) -> None:
        """Raises LeadershipLostError; whatever else goes wrong is told and tried again in the next tick."""
        for run in self._runs.all():
            self._try(f"TrainingRun {run.name}", functools.partial(self._runs.step, run, now_ms=now_ms))
        for version in self._store.list("ModelVersion"):
            if version.spec.get("source") == "Imported" and not marks.is_true(version.status, "Available"):
                check = functools.partial(self._publisher.check_import, version, now_ms=now_ms)
                self._try(f"ModelVersion {version.name}", check)
        self._try("rollouts", lambda: self._rollouts.step(now_ms=now_ms, epoch=epoch))
        self._try("retrain policy", lambda: self._policy.step(now_ms=now_ms))
        if now_ms - self._kept_house_ms >= _HOUSEKEEPING_MS:
            self._try("model repository", lambda: self._keep_house(now_ms))
            self._kept_house_ms = now_ms

    def drain(self) -> None:
        """Told to stop: nothing of this controller outlives it but training jobs, which the next one adopts."""

    def _keep_house(self, now_ms: int) -> None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._repository.refresh_if_due(now=now)
        retention.retire(self._store, self._repository, now_ms=now_ms, now=now)
        for role, expires in self._repository.expiring(now=now):
            log.warning("key_needed", role=role, expires=expires.isoformat(), message="sign it anew before it expires")

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except LeadershipLostError:
            raise
        except errors.ConflictError as exc:
            log.debug("read_again", what=what, reason=str(exc))
        except errors.SkerryError as exc:
            log.warning("step_failed", what=what, error=str(exc))
