"""How long a run on a version's thread may go on, and what is said of a version whose runs do not end.

A run is stopped after its time limit, or when nobody waits for it any more. One that does not even stop is given up:
its callers are answered and the version refuses others until its thread is free. So does, for a while at a time, a
version whose last runs all had to be stopped. Other models, health and shutdown go on meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence

from skerry.core import errors
from skerry.serving.batch_rules import QueuedRequest, VersionLabel
from skerry.serving.runtime import StopSwitch

_LOOK_S = 0.25
_PATIENCE_S = 2.0  # from stopping a run to giving it up
_STUCK_AFTER = 3  # runs in a row that had to be stopped
_REST_S = 10.0


class RunLimit:
    """Of the runs of one version, one at a time. On the loop's thread."""

    def __init__(self, switch: StopSwitch, max_run_s: float) -> None:
        self._switch, self._max_run_s = switch, max_run_s
        self._batch: Sequence[QueuedRequest] = ()
        self._began_s = 0.0
        self._stopped_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._stops = 0  # in a row, for their time
        self._rests_until_s = 0.0

    def began(self, batch: Sequence[QueuedRequest], lost: Callable[[float], None]) -> None:
        """`lost` is called, with the seconds, when the run has not ended some time after it was stopped."""
        self._batch, self._began_s, self._stopped_s = batch, asyncio.get_running_loop().time(), None
        self._look_later(lost)

    def ended(self) -> bool:
        """Was it lost?"""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        was_lost, self._is_lost = self._is_lost, False
        return was_lost

    def was_answered(self) -> None:
        self._stops = 0

    def is_stuck(self, now: float) -> bool:
        return self._is_lost or now < self._rests_until_s

    def refusal(self, label: VersionLabel, now: float) -> errors.UnavailableError | None:
        """For requests that come while the version is stuck."""
        if not self.is_stuck(now):
            return None
        why = (
            "its latest run does not end"
            if self._is_lost
            else f"its last {self._stops} runs took more than {self._max_run_s:g} s and were stopped"
        )
        return errors.UnavailableError(
            f"version {label.version} of model {label.model!r} is stuck: {why}; roll it back, or try again later"
        )

    def text(self, label: VersionLabel) -> str:
        """Of the error of a run that was stopped for its time."""
        return (
            f"version {label.version} of model {label.model!r} did not answer this request in {self._max_run_s:g} s: "
            "its run was stopped"
        )

    def _look_later(self, lost: Callable[[float], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(_LOOK_S, self._max_run_s), self._look, lost)

    def _look(self, lost: Callable[[float], None]) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        if self._stopped_s is not None:
            if now - self._stopped_s > _PATIENCE_S:
                self._is_lost = True
                lost(now - self._began_s)
                return
        elif now - self._began_s > self._max_run_s:
            self._stops += 1
            if self._stops >= _STUCK_AFTER:
                self._rests_until_s = now + _REST_S
            self._stop(now)
        elif all(work.is_over(now) for work in self._batch):
            self._stop(now)
        self._look_later(lost)

    def _stop(self, now: float) -> None:
        self._stopped_s = now
        self._switch.stop()
