"""The controller's outer loop: wait for the lease, tick again and again while it is held, stop when told.

A tick follows every change that may concern it, and time passing; it is level-triggered, so a tick too many does
nothing. What a tick does is `reconcile`'s.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from skerry.adapters.lease.protocol import Lease
from skerry.adapters.telemetry import logs
from skerry.controller.store import LeadershipLostError
from skerry.core import errors

log = logs.logger("controller")

_QUIET_S = 0.05  # shortest time between two ticks: a burst of changes is one tick
_LONGEST_QUIET_S = 2.0
_RETRY_S = 1.0


@dataclass(slots=True)
class Leading:
    """Whether this process leads now, for other threads."""

    leads: bool = False


@dataclass(frozen=True, slots=True)
class Leader:
    """`tick(epoch, now_ms, mono_ms)` does one round, `drain(now_ms)` ends what must not outlive a leader that was
    told to stop, `wait(timeout_s)` ends with a change that concerns a round. `tick_s` is the longest time between two
    rounds. `beat` marks the begin of each, and waiting to lead; `leading` says whether it does."""

    wait: Callable[[float], None]
    lease: Lease
    holder: str
    tick: Callable[[int, int, int], None]
    drain: Callable[[int], None]
    tick_s: float
    beat: Callable[[], None] = lambda: None
    leading: Leading = field(default_factory=Leading)

    def run(self, stop: threading.Event) -> int:
        """Lead when possible until `stop` is set (0) or the lease is lost (1: the process must end)."""
        told = ""
        while not stop.is_set():
            self.beat()
            try:
                epoch = self.lease.acquire(self.holder)
            except (errors.UnavailableError, errors.RejectedError) as exc:
                epoch, waits_for = None, str(exc)
            else:
                waits_for = "somebody else leads"
            if epoch is not None:
                return self._lead(epoch, stop)
            if waits_for != told:
                log.info("waiting_for_lease", holder=self.holder, message=waits_for)
                told = waits_for
            stop.wait(self.tick_s)
        return 0

    def _lead(self, epoch: int, stop: threading.Event) -> int:
        self.leading.leads = True
        log.info("leading", holder=self.holder, epoch=epoch)
        try:
            while not stop.is_set():
                self.beat()
                if not self.lease.renew():
                    raise LeadershipLostError(f"{self.holder} lost the lease of epoch {epoch}")
                began_s = time.monotonic()
                self._tick(epoch, stop)
                stop.wait(quiet_s(time.monotonic() - began_s))
                self._wait()
            self.drain(_now_ms())
        except LeadershipLostError as exc:
            log.error("leadership_lost", epoch=epoch, error=str(exc))
            return 1
        finally:
            self.leading.leads = False
            self.lease.release()
        return 0

    def _tick(self, epoch: int, stop: threading.Event) -> None:
        try:
            self.tick(epoch, _now_ms(), time.monotonic_ns() // 1_000_000)
        except LeadershipLostError:
            raise
        except errors.SkerryError as exc:
            log.warning("tick_failed", error=str(exc))
            stop.wait(_RETRY_S)
        except Exception:
            # The last line of defence: a defect must not end the only controller.
            log.exception("tick_broken")
            stop.wait(_RETRY_S)

    def _wait(self) -> None:
        """Until something changed or `tick_s` passed."""
        try:
            self.wait(self.tick_s)
        except errors.UnavailableError as exc:
            log.warning("watch_failed", error=str(exc))


def quiet_s(tick_s: float) -> float:
    """How long nothing is done after a tick that took `tick_s`: changes without end take half of a core at most."""
    return min(max(_QUIET_S, tick_s), _LONGEST_QUIET_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
