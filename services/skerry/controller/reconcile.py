"""One tick of the controller: look at what is due, move it one step, write only what differs.

Each part is asked on its own, so that one broken object holds up nothing else, and only when it is due (`pace`): after
news, when it waits for time to pass, now and then. A lost lease ends the tick at once.
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
    assigning,
    audit_archive,
    condition_json,
    exclusions,
    figures,
    fleet_counts,
    history,
    label_standings,
    pace,
    publish,
    retention,
    retrain_trigger,
    rollouts,
    runs,
    signatures,
    stopwatch,
    summaries,
    view,
    webhook,
)
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors

log = logs.logger("controller")

_HOUSEKEEPING_MS = 30_000
_IMPORT_MS = 2_000  # an import that is not right yet is looked at again so often: its files are read whole
_READINGS_MS = 2_000  # readings change without news
_SUMMARY_MS = 5_000  # so late a node that fell silent is counted offline
_ANYWAY_MS = 60_000
_NODES_PER_MS = 4  # while a part of it waits, a fleet of 10,000 nodes is looked at every 2.5 s


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
        writers: int = assigning.WRITERS,
        *,
        keep_rollouts: int = 100,
        keep_runs: int = 100,
        keep_audit_days: int = 90,
        webhook_: webhook.Webhook | None = None,
    ) -> None:
        self._webhook = webhook_
        self._store, self._runs, self._publisher, self._repository = store, runs_, publisher, repository
        self._rollouts = rollouts.Rollouts(store, fleetstate, writers)
        self._retrain_trigger = retrain_trigger.RetrainTrigger(store, fleetstate, blobs)
        self._labels = label_standings.LabelStandings(fleetstate)
        self._history = history.History(store, keep_rollouts=keep_rollouts, keep_runs=keep_runs)
        self._audit_archive = audit_archive.AuditArchive(store, blobs, keep_days=keep_audit_days)
        self._fleet_counts = fleet_counts.FleetCounts()
        self._exclusions = exclusions.Exclusions(store, blobs)
        self._erasures = runs_.erasures
        self.figures = figures.Figures(store)
        self._on_change = OnChange()
        self._unfollowed = stopwatch.Stopwatch()
        self.signatures: Sequence[expiry.Signature] = ()
        self._trust: signatures.TrustStatus | None = None
        self._housekeeping_ms = 0
        self._imports_ms: dict[str, int] = {}
        rolled_out = ("EdgeFleet", "EdgeModel", "EdgeNode", "Exclusion", "ModelRollout", "ModelVersion")
        self._paces = {
            "training": pace.Pace(("TrainingRun", "EdgeModel", "ModelVersion", "Erasure"), _HOUSEKEEPING_MS),
            "imports": pace.Pace(("ModelVersion", "EdgeModel"), _ANYWAY_MS),
            "rollouts": pace.Pace(rolled_out, _ANYWAY_MS),
            "retrain policy": pace.Pace(("EdgeModel", "TrainingRun", "ModelRollout", "Exclusion"), _READINGS_MS),
            "standing": pace.Pace(view.KINDS, _SUMMARY_MS),
            "exclusions": pace.Pace(("Exclusion", "ModelVersion"), _ANYWAY_MS),
            "erasures": pace.Pace(("Erasure", "EdgeNode", "ModelVersion"), _ANYWAY_MS),
        }
        self._shown: object = None

    def tick(self, epoch: int, now_ms: int, mono_ms: int) -> None:
        """`now_ms`: Unix time, for stamps; `mono_ms`: a monotonic clock, for durations. Raises LeadershipLostError;
        whatever else goes wrong is told and tried again in the next tick."""
        news = self._store.refresh(mono_ms)

        def look(part: str, step: Callable[[], int | None]) -> None:
            if (mine := self._paces[part]).is_due(news, mono_ms):
                waiting_ms: int | None = 0  # whatever went wrong is tried again at once

                def run() -> None:
                    nonlocal waiting_ms
                    waiting_ms = step()

                self._try(part, run)
                mine.looked(mono_ms, waiting_ms=waiting_ms)

        look("training", lambda: self._step_runs(now_ms, mono_ms))
        look("imports", lambda: self._check_imports(now_ms))
        look("rollouts", lambda: self._step_rollouts(now_ms, mono_ms, epoch))
        look("retrain policy", lambda: self._step_retrain_policy(now_ms, mono_ms))
        labels = self._labels.look(now_ms=now_ms, mono_ms=mono_ms)
        if (labels, self._trust) != self._shown:
            self._paces["standing"].wake()
            self._shown = labels, self._trust
        look("standing", lambda: self._summarize(now_ms, mono_ms, labels))
        look("exclusions", lambda: None if self._exclusions.step() else 0)
        look("erasures", lambda: self._step_erasures(now_ms))
        self._tell(now_ms, mono_ms)
        if not 0 <= now_ms - self._housekeeping_ms < _HOUSEKEEPING_MS:
            self._try("model repository", lambda: self._keep_house(now_ms, mono_ms))
            self._try("history", self._history.delete_surplus)
            self._try("audit", lambda: self._audit_archive.look(now_ms=now_ms, mono_ms=mono_ms))
            self._try("signatures", lambda: self._look_at_signatures(now_ms))
            self._housekeeping_ms = now_ms

    def _tell(self, now_ms: int, mono_ms: int) -> None:
        """People: in figures, and by the webhook."""
        touched = self._store.touched()
        self._try("figures", lambda: self.figures.look(touched, now_ms=now_ms, mono_ms=mono_ms))
        if (hook := self._webhook) is not None:
            states = self.figures.shown.states if self.figures.shown is not None else None
            self._try("webhook", lambda: hook.look(self._store, touched, states))

    def drain(self, now_ms: int) -> None:
        """Told to stop: jobs end, their runs do not; the next leader starts them again."""
        self._try("training jobs", lambda: self._runs.interrupt(now_ms=now_ms))

    def wait(self, timeout_s: float) -> None:
        """Until something changed that concerns a tick, or for as long. Raises UnavailableError."""
        self._store.wait(timeout_s)

    def _look_ms(self) -> int:
        """How often to look while only time passes: a look at a large fleet costs more."""
        return len(self._store.list("EdgeNode")) // _NODES_PER_MS

    def _step_runs(self, now_ms: int, mono_ms: int) -> int | None:
        listed = self._runs.begin(mono_ms)
        for run in listed:
            self._try(f"TrainingRun {run.name}", functools.partial(self._runs.step, run, now_ms=now_ms))
        return None if self._runs.are_settled(listed) else 0

    def _step_rollouts(self, now_ms: int, mono_ms: int, epoch: int) -> int | None:
        waits = self._rollouts.step(now_ms=now_ms, mono_ms=mono_ms, epoch=epoch)
        return self._look_ms() if waits else None

    def _step_retrain_policy(self, now_ms: int, mono_ms: int) -> int | None:
        self._retrain_trigger.step(now_ms=now_ms, mono_ms=mono_ms)
        return max(_READINGS_MS, len(self._store.list("EdgeNode")))  # there are as many readings

    def _step_erasures(self, now_ms: int) -> int | None:
        return None if self._erasures.step(now_ms=now_ms) else self._look_ms()

    def _summarize(self, now_ms: int, mono_ms: int, labels: label_standings.Standings | None) -> None:
        summaries.step(
            self._store, self._fleet_counts, now_ms=now_ms, mono_ms=mono_ms, trust=self._trust, labels=labels
        )

    def _check_imports(self, now_ms: int) -> int | None:
        are_right = True
        for version in self._store.list("ModelVersion"):
            if version.spec.get("source") != "Imported" or condition_json.is_true(version.status, "Available"):
                continue
            are_right = False
            if 0 <= now_ms - self._imports_ms.get(version.name, 0) < _IMPORT_MS:
                continue
            check = functools.partial(self._publisher.check_import, version, now_ms=now_ms)
            self._try(f"ModelVersion {version.name}", check)
            self._imports_ms[version.name] = now_ms
        return None if are_right else _IMPORT_MS

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
