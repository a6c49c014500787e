"""What a node says of itself: the report that the gateway keeps, and the permit requests in it.

Only what is loaded is reported as serving: success is what runs, never what was sent. Sending it is `stream`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.update import progress, updater
from skerry.agent.update.states import State
from skerry.agent.warning_watch import Raised, WarningWatch
from skerry.core import contract
from skerry.proto import edge_pb2, fleet_pb2


@dataclass(frozen=True, slots=True)
class NodeFacts:
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
        facts: NodeFacts,
        updates: updater.Updater,
        spool_thread: SpoolThread,
        readings: Callable[[], Sequence[fleet_pb2.Reading]],
        watch: WarningWatch,
        erased_up_to: Callable[[], int],
        *,
        first_sequence: int,
    ) -> None:
        self._facts, self._updater, self._spool_thread, self._readings = facts, updates, spool_thread, readings
        self._watch, self._erased_up_to = watch, erased_up_to
        self._sequence = first_sequence

    def report(self, now_s: float) -> fleet_pb2.NodeReport:
        """The next report, about to be sent at `now_s` (`awake_clock`)."""
        self._sequence += 1
        requests = permit_requests(self._updater.targets, self._sequence, now_s)
        facts = self._facts
        return fleet_pb2.NodeReport(
            node=facts.node,
            agent_version=facts.agent_version,
            boot_id=facts.boot_id,
            sequence=self._sequence,
            runtime=facts.runtime,
            models=self._models(requests),
            readings=self._readings(),
            spool=spool_state(self._spool_thread),
            serving_address=facts.serving_address,
            erased_up_to=self._erased_up_to(),
            warnings=[warning_message(one) for one in self._watch.tellable()[-contract.MAX_NODE_WARNINGS :]],
        )

    def _models(self, requests: Mapping[str, int]) -> list[fleet_pb2.ModelReport]:
        models = sorted({*self._updater.ledger.models(), *self._updater.targets})
        return [self._model(model, requests.get(model, 0)) for model in models]

    def _model(self, model: str, permit_request: int) -> fleet_pb2.ModelReport:
        ledger, loader = self._updater.ledger, self._updater.loader
        serving, known_good = loader.serving(model), ledger.pointers(model).last_known_good
        report = fleet_pb2.ModelReport(
            model=model,
            digest=serving.digest if serving else "",
            version=serving.version if serving else 0,
            highest_permit=ledger.highest_permit,
            last_known_good=known_good.digest if known_good else "",
        )
        target = self._updater.targets.get(model)
        if target is not None and target.wanted is not None:
            report.MergeFrom(
                fleet_pb2.ModelReport(
                    target_digest=target.wanted.digest,
                    target_rollout=target.wanted.rollout,
                    target_attempt=target.wanted.attempt,
                    target_state=target.shown.state.value,
                    reason=target.shown.reason,
                    permit_request=permit_request,
                )
            )
        return report


def permit_requests(models: Mapping[str, progress.Target], sequence: int, now_s: float) -> dict[str, int]:
    """The permit request of each staged model, as the report `sequence`, sent at `now_s`, is to state it. It stands
    until it is answered, however long that takes: a node that waits reports nothing new."""
    requests: dict[str, int] = {}
    for model, target in models.items():
        if target.swapping:
            requests[model] = target.swapping
            continue
        if target.wanted is None or target.shown.state != State.STAGED:
            continue
        if not target.requests:
            target.requests[sequence] = now_s
        requests[model] = max(target.requests)
    return requests


def spool_state(spool_thread: SpoolThread) -> edge_pb2.SpoolState:
    counts = spool_thread.counts
    return edge_pb2.SpoolState(
        pending=counts.pending,
        pending_bytes=counts.pending_bytes,
        captured=counts.captured,
        dropped=counts.dropped,
        uploaded=counts.uploaded,
        too_large=counts.too_large,
    )


def warning_message(raised: Raised) -> edge_pb2.Warning:
    return edge_pb2.Warning(
        model=raised.model,
        series=raised.series,
        since_unix_ms=raised.since_unix_ms,
        series_unix_ms=raised.series_unix_ms,
        digest=raised.digest,
        text=raised.text,
    )
