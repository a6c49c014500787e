"""Which of several curators publishes: the one that holds the lease. The others label, and tell it what."""

from collections.abc import Callable

from skerry.adapters.lease.protocol import Lease
from skerry.adapters.telemetry import logs
from skerry.core import errors

NAME = "curator"
_RETRY_S = 1.0

_log = logs.logger("curator")


class PublisherLease:
    """`monotonic` gives seconds."""

    def __init__(self, lease: Lease, holder: str, monotonic: Callable[[], float]) -> None:
        self._lease, self._holder, self._monotonic = lease, holder, monotonic
        self._try_at_s = float("-inf")
        self._told = ""

    def holds(self) -> bool:
        """Does this curator publish? It asks for the lease, now and then, when no other holds it."""
        if self._lease.renew():
            return True
        if self._monotonic() < self._try_at_s:
            return False
        self._try_at_s = self._monotonic() + _RETRY_S
        try:
            epoch, waits_for = self._lease.acquire(self._holder), "another curator publishes"
        except (errors.UnavailableError, errors.RejectedError) as exc:
            epoch, waits_for = None, str(exc)
        if waits_for != self._told and epoch is None:
            _log.info("only_labels", holder=self._holder, message=waits_for)
        if epoch is not None:
            _log.info("publishes", holder=self._holder, epoch=epoch)
        self._told = "" if epoch is not None else waits_for
        return epoch is not None

    def release(self) -> None:
        self._lease.release()
