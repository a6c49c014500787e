"""What a node says of itself: the report that the gateway keeps, and the permit requests in it.

Only what is loaded is reported as serving: success is what runs, never what was sent. Sending it is `stream`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skerry.agent.capture import spool_thread
from skerry.agent.update import progress, updater
from skerry.proto import edge_pb2, fleet_pb2

_MAX_REQUESTS = 64


@dataclass(frozen=True, slots=True)
class Self:
    """What does not change while this process lives."""

    node: str
    agent_version: str
    boot_id: str
    runtime: fleet_pb2.Runtime
    serving_address: str


class Reporter:
    """`readings()` gives the newest window of each model. Sequences start at `first_sequence`, which differs per boot,
    so that a permit for a request of an earlier boot fits none of this one."""

    def __init__(
        self,
        self_: Self,
        updates: updater.Updater,
        store: spool_thread.Keeper,
        readings: Callable[[], Sequence[fleet_pb2.Reading]],
        *,
        first_sequence: int,
        request_refresh_s: float = 10.0,
    ) -> None:
        self._self, self._updater, self._store, self._readings = self_, updates, store, readings
        self._sequence, self._refresh_s = first_sequence, request_refresh_s

    def report(self, now_s: float) -> fleet_pb2.NodeReport:
        """The next report, about to be sent at `now_s` (monotonic)."""
        self._sequence += 1
        asked = ask(self._updater.targets, self._sequence, now_s, refresh_s=self._refresh_s)
        me = self._self
        return fleet_pb2.NodeReport(
            node=me.node,
            agent_version=me.agent_version,
            boot_id=me.boot_id,
            sequence=self._sequence,
            runtime=me.runtime,
            models=self._models(asked),
            readings=self._readings(),
            spool=spool_state(self._store),
            serving_address=me.serving_address,
        )

    def _models(self, asked: Mapping[str, int]) -> list[fleet_pb2.ModelReport]:
        models = sorted({*self._updater.book.models(), *self._updater.targets})
        return [self._model(model, asked.get(model, 0)) for model in models]

    def _model(self, model: str, permit_request: int) -> fleet_pb2.ModelReport:
        book, loader = self._updater.book, self._updater.loader
        serving, known_good = loader.serving(model), book.pointers(model).last_known_good
        report = fleet_pb2.ModelReport(
            model=model,
            digest=serving.digest if serving else "",
            version=serving.version if serving else 0,
            highest_permit=book.highest_permit,
            last_known_good=known_good.digest if known_good else "",
        )
        target = self._updater.targets.get(model)
        if target is not None and target.wanted is not None:
            report.MergeFrom(
                fleet_pb2.ModelReport(
                    target_digest=target.wanted.digest,
                    target_rollout=target.wanted.rollout,
                    target_attempt=target.wanted.attempt,
                    target_state=target.shown.state,
                    reason=target.shown.reason,
                    permit_request=permit_request,
                )
            )
        return report


def ask(models: Mapping[str, progress.Target], sequence: int, now_s: float, *, refresh_s: float) -> dict[str, int]:
    """The permit request of each staged model, as the report `sequence`, sent at `now_s`, is to state it. It stays the
    same for `refresh_s`, so that an unchanged report stays unchanged, and is renewed then, so that a permit that comes
    after hours of waiting is still in time."""
    asked: dict[str, int] = {}
    for model, target in models.items():
        if target.swapping:
            asked[model] = target.swapping
            continue
        if target.wanted is None or target.shown.state != "STAGED":
            continue
        if not target.requests or now_s - max(target.requests.values()) >= refresh_s:
            target.requests[sequence] = now_s
            for old in sorted(target.requests)[:-_MAX_REQUESTS]:
                del target.requests[old]
        asked[model] = max(target.requests)
    return asked


def spool_state(store: spool_thread.Keeper) -> edge_pb2.SpoolState:
    counts = store.counts
    return edge_pb2.SpoolState(
        pending=counts.pending,
        pending_bytes=counts.pending_bytes,
        captured=counts.captured,
        dropped=counts.dropped,
        uploaded=counts.uploaded,
    )
