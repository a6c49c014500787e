"""Leadership by a Lease of coordination.k8s.io, as client-go's leader election does it, with an epoch.

Only this process's monotonic clock counts: a lease is free when its record did not change for its own duration as seen
from here, and our own leadership ends `deadline_s` after the *start* of the last renewal that succeeded, whatever the
network does. A thread renews; `renew` is a look at the clock and costs nothing. `leaseTransitions` is the epoch.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from skerry.adapters.kubernetes.api import Api, Json
from skerry.adapters.telemetry import logs
from skerry.core import errors

log = logs.logger("lease")


class KubernetesLease:
    """`floor` gives the highest epoch that any object names: a Lease that was deleted begins above it again."""

    def __init__(
        self,
        api: Api,
        name: str,
        floor: Callable[[], int],
        *,
        duration_s: float = 15.0,
        deadline_s: float = 10.0,
        retry_s: float = 2.0,
    ) -> None:
        if not duration_s > deadline_s > 2 * retry_s > 0:
            raise errors.InputError("a lease needs duration > deadline > twice the retry interval > 0")
        self._api, self._name, self._floor = api, name, floor
        self._duration_s, self._deadline_s, self._retry_s = duration_s, deadline_s, retry_s
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{api.namespace}/leases"
        self._holder, self._epoch = "", 0
        self._until_s = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)  # resourceVersion of the record, and when it was first seen
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, holder: str) -> int | None:
        if self.renew():
            return self._epoch
        began_s = time.monotonic()
        try:
            lease = self._read()
            if not self._is_free(lease, holder, began_s):
                return None
            self._epoch = max(int(lease["spec"].get("leaseTransitions") or 0), self._floor()) + 1
            self._write(lease, holder, acquired=True)
        except errors.ConflictError:
            return None  # another candidate was faster
        self._holder, self._until_s = holder, began_s + self._deadline_s
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew_on, name=f"lease {self._name}", daemon=True)
        self._thread.start()
        return self._epoch if self.renew() else None

    def renew(self) -> bool:
        return time.monotonic() < self._until_s

    def release(self) -> None:
        """Stop leading, then say so, so that the next leader need not wait. Losing the answer costs only that wait."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(self._deadline_s)
        led, self._until_s = self.renew(), float("-inf")
        if led:
            try:
                self._write(self._read(), "", acquired=False)
            except errors.SkerryError as exc:
                log.info("lease_not_given_back", lease=self._name, message=str(exc))

    def _renew_on(self) -> None:
        while not self._stop.wait(self._retry_s):
            began_s = time.monotonic()
            if began_s >= self._until_s:
                break
            try:
                lease = self._read()
                if lease["spec"].get("holderIdentity") != self._holder:
                    self._until_s = float("-inf")
                    log.error("lease_taken", lease=self._name, by=str(lease["spec"].get("holderIdentity"))[:80])
                    break
                self._write(lease, self._holder, acquired=False)
                self._until_s = began_s + self._deadline_s
            except errors.SkerryError as exc:
                log.warning("lease_not_renewed", lease=self._name, message=str(exc))

    def _is_free(self, lease: Json, holder: str, now_s: float) -> bool:
        """Nobody holds it, or who does has not renewed for as long as it may take, by our clock."""
        spec, version = lease["spec"], str(lease["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, now_s)
        if spec.get("holderIdentity") in (None, "", holder):
            return True
        duration_s = float(spec.get("leaseDurationSeconds") or self._duration_s)
        return now_s - self._seen[1] >= duration_s

    def _read(self) -> Json:
        try:
            lease = self._api.get(f"{self._path}/{self._name}", timeout_s=self._request_s)
        except errors.NotFoundError:
            lease = self._api.create(self._path, {"metadata": {"name": self._name}, "spec": {}})
        lease.setdefault("spec", {})
        return lease

    def _write(self, lease: Json, holder: str, *, acquired: bool) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec: dict[str, Any] = lease["spec"] | {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(self._duration_s) if holder else 1,
            "renewTime": now,
        }
        if acquired:
            spec |= {"acquireTime": now, "leaseTransitions": self._epoch}
        # The record as it was read goes back with its resourceVersion: of two that write at once, one fails.
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease["metadata"], "spec": spec}
        self._api.put(f"{self._path}/{self._name}", body, timeout_s=self._request_s)

    @property
    def _request_s(self) -> float:
        """A read and a write fit into what is left between two looks and the deadline."""
        return (self._deadline_s - self._retry_s) / 3
