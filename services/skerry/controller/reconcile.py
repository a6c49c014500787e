"""One tick of the controller: look at everything, move everything one step, write only what differs.

Each part is asked on its own, so that one broken object holds up nothing else. A lost lease ends the tick at once.
"""

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry.on_change import OnChange
from skerry.adapters.trust import cleanup, expiry
from skerry.adapters.trust import repository as trust
from skerry.controller import (
    condition_json,
    exclusions,
    label_standings,
    publish,
    retention,
    retrain_trigger,
    rollouts,
    runs,
    signatures,
    stopwatch,
    summaries,
)
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors

log = logs.logger("controller")

_HOUSEKEEPING_MS = 30_000
_IMPORT_MS = 2_000  # an import that is not right yet is looked at again so often: its files are read whole


class Reconciler:
    """Remembers nothing that matters: only when it last did the rare things, what it last complained of, and the
    `signatures` of the model repository as it saw them last."""

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
        self._retrain_trigger = retrain_trigger.RetrainTrigger(store, fleetstate, blobs)
        self._labels = label_standings.LabelStandings(fleetstate)
        self._exclusions = exclusions.Exclusions(store, blobs)
        self._erasures = runs_.erasures
        self._on_change = OnChange()
        self._unfollowed = stopwatch.Stopwatch()
        self.signatures: Sequence[expiry.Signature] = ()
        self._trust: signatures.TrustStatus | None = None
        self._housekeeping_ms = 0
        self._imports_ms: dict[str, int] = {}

    def tick(self, epoch: int, now_ms: int, mono_ms: int) -> None:
        """`now_ms`: Unix time, for stamps; `mono_ms`: a monotonic clock, for durations. Raises LeadershipLostError;
        whatever else goes wrong is told and tried again in the next tick."""
        for run in self._runs.begin(mono_ms):
            self._try(f"TrainingRun {run.name}", functools.partial(self._runs.step, run, now_ms=now_ms))
        self._try("imports", lambda: self._check_imports(now_ms))
        self._try("rollouts", lambda: self._rollouts.step(now_ms=now_ms, mono_ms=mono_ms, epoch=epoch))
        self._try("retrain policy", lambda: self._retrain_trigger.step(now_ms=now_ms, mono_ms=mono_ms))
        labels = self._labels.look(now_ms=now_ms, mono_ms=mono_ms)
        self._try("standing", lambda: summaries.step(self._store, now_ms=now_ms, trust=self._trust, labels=labels))
        self._try("exclusions", self._exclusions.step)
        self._try("erasures", lambda: self._erasures.step(now_ms=now_ms))
        if not 0 <= now_ms - self._housekeeping_ms < _HOUSEKEEPING_MS:
            self._try("model repository", lambda: self._keep_house(now_ms, mono_ms))
            self._try("signatures", lambda: self._look_at_signatures(now_ms))
            self._housekeeping_ms = now_ms

    def drain(self, now_ms: int) -> None:
        """Told to stop: jobs end, their runs do not; the next leader starts them again."""
        self._try("training jobs", lambda: self._runs.interrupt(now_ms=now_ms))

    def _check_imports(self, now_ms: int) -> None:
        for version in self._store.list("ModelVersion"):
            if version.spec.get("source") != "Imported" or condition_json.is_true(version.status, "Available"):
                continue
            if 0 <= now_ms - self._imports_ms.get(version.name, 0) < _IMPORT_MS:
                continue
            check = functools.partial(self._publisher.check_import, version, now_ms=now_ms)
            self._try(f"ModelVersion {version.name}", check)
            self._imports_ms[version.name] = now_ms

    def _keep_house(self, now_ms: int, mono_ms: int) -> None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._repository.refresh_if_due(now=now)
        retention.retire(self._store, self._repository, now_ms=now_ms, now=now)
        met: set[str] = set()

        def unfollowed_s(path: str) -> float:
            met.add(path)
            return self._unfollowed.age_ms(path, None, mono_ms=mono_ms) / 1000

        swept = cleanup.remove_unreachable(self._repository, now=now, unfollowed_s=unfollowed_s)
        self._unfollowed.keep(met)
        if swept:
            log.info("repository_swept", files=swept)

    def _look_at_signatures(self, now_ms: int) -> None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self.signatures = expiry.look(self._repository.store)
        self._trust = signatures.judge(self.signatures, now)
        for one in self.signatures:
            if (text := one.warning(now)) and self._on_change.differs(f"key of {one.role}", one.expires.isoformat()):
                log.warning("signature_expiring", role=one.role, expires=one.expires.isoformat(), message=text)

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except LeadershipLostError:
            raise
        except errors.ConflictError as exc:
            log.debug("read_again", what=what, reason=str(exc))
        except errors.SkerryError as exc:
            if self._on_change.differs(what, str(exc)):
                log.warning("step_failed", what=what, error=str(exc))
        else:
            self._on_change.forget(what)
