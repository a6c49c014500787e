"""Training jobs on Kubernetes: one Job per run in a namespace of their own, started, watched and ended by name.

Level-triggered: what is there is read again at each look (at most every `LOOK_S`), so a Job or a namespace that
somebody deletes is simply not there. Talks to the API server only; how a Job looks is `manifest`, what it says is
`reading`.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skerry.adapters.telemetry import logs
from skerry.controller.jobs import manifest, reading
from skerry.controller.jobs.protocol import Job, Order, State
from skerry.core import errors, job_tickets

log = logs.logger("controller")

LOOK_S = 1.0
QUEUE_S = 30 * 86_400  # how long a ticket lives beyond its job's own time: what a queue may take
_TAIL_LINES, _TAIL_BYTES = 5000, 4 << 20
_PAGE = 500


class Api(Protocol):
    """The Kubernetes API by path. Raises NotFoundError (404), ConflictError (409), InputError (400, 422), RejectedError
    (401, 403), UnavailableError (no answer, 5xx, 429)."""

    def get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]: ...

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]: ...

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON merge patch."""
        ...

    def delete(self, path: str, query: Mapping[str, str]) -> None: ...

    def text(self, path: str, query: Mapping[str, str], max_bytes: int) -> bytes:
        """What is not JSON, at most `max_bytes` of it."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A Job and its pods as the API gave them."""

    job: Mapping[str, Any]
    pods: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return str(self.job["metadata"]["name"])


class KubernetesJobs:
    """`key` makes the jobs' tickets; `now_unix_s` is wall time, `monotonic_s` paces the looks."""

    def __init__(
        self,
        api: Api,
        site: manifest.Site,
        key: bytes,
        now_unix_s: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._api, self._site, self._key = api, site, job_tickets.check_key(key)
        self._now_unix_s, self._monotonic_s = now_unix_s, monotonic_s
        self._jobs = f"/apis/batch/v1/namespaces/{site.namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{site.namespace}/pods"
        self._services = f"/api/v1/namespaces/{site.namespace}/services"
        self._seen: Mapping[str, _Found] = {}
        self._seen_s = float("-inf")

    def start(self, order: Order) -> None:
        """A Job that another hand suspended or let go on since the last order stays so."""
        found = self._look(fresh=True).get(order.run)
        state = State.ABSENT if found is None else reading.read(found.job, found.pods).state
        if found is not None and state is State.ENDED:
            self._delete(found)
        if found is None or state in (State.ENDED, State.ABSENT):
            self._create(order)
        elif (patch := manifest.adjusted(order, found.job)) is not None:
            self._api.patch(f"{self._jobs}/{found.name}", patch)
        self._seen_s = float("-inf")

    def poll(self, name: str) -> Job:
        found = self._look().get(name)
        return Job(State.ABSENT) if found is None else reading.read(found.job, found.pods)

    def log(self, name: str, max_bytes: int) -> bytes:
        """Of several workers each has its part, behind a line that names it. A log that cannot be had says why."""
        found = self._look().get(name)
        pods = sorted(found.pods, key=reading.index) if found is not None else []
        share = max_bytes // max(1, len(pods))
        texts = [self._log_of(pod, share, headed=len(pods) > 1) for pod in pods]
        return b"".join(texts)[-max_bytes:]

    def stop(self, name: str) -> None:
        found = self._look(fresh=True).get(name)
        if found is not None:
            self._delete(found)

    def names(self) -> Sequence[str]:
        return sorted(self._look())

    def _create(self, order: Order) -> None:
        if order.template.workers > 1:
            self._need_service()
        ticket = job_tickets.issue(self._key, order.run, self._now_unix_s() + order.timeout_s + QUEUE_S)
        try:
            self._api.create(self._jobs, manifest.job(order, self._site, ticket))
        except errors.ConflictError as exc:
            text = f"Job {manifest.job_name(order.run)} is still going away, or belongs to somebody else"
            raise errors.UnavailableError(f"{text} in namespace {self._site.namespace}") from exc
        except errors.NotFoundError as exc:
            raise errors.UnavailableError(
                f"there is no namespace {self._site.namespace} for training jobs: create it"
            ) from exc

    def _need_service(self) -> None:
        try:
            self._api.get(f"{self._services}/{manifest.SERVICE}", {})
        except errors.NotFoundError:
            try:
                self._api.create(self._services, manifest.service(self._site.namespace))
            except errors.ConflictError:
                return
            except errors.NotFoundError as exc:
                raise errors.UnavailableError(
                    f"there is no namespace {self._site.namespace} for training jobs: create it"
                ) from exc

    def _delete(self, found: "_Found") -> None:
        with contextlib.suppress(errors.NotFoundError):
            self._api.delete(f"{self._jobs}/{found.name}", {"propagationPolicy": "Background"})
        self._seen_s = float("-inf")

    def _look(self, *, fresh: bool = False) -> Mapping[str, "_Found"]:
        """Our Jobs by run with their pods, as they were not long ago."""
        now_s = self._monotonic_s()
        if fresh or now_s - self._seen_s >= LOOK_S:
            jobs = [job for job in self._list(self._jobs) if manifest.RUN in job["metadata"].get("annotations", {})]
            pods = self._list(self._pods) if jobs else []
            self._seen = {job["metadata"]["annotations"][manifest.RUN]: _Found(job, _of(job, pods)) for job in jobs}
            self._seen_s = now_s
        return self._seen

    def _list(self, path: str) -> list[dict[str, Any]]:
        """Everything of ours there, page by page."""
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            query = {"labelSelector": manifest.SELECTOR, "limit": str(_PAGE)} | ({"continue": more} if more else {})
            page = self._api.get(path, query)
            found += page.get("items", ())
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                return found

    def _log_of(self, pod: Mapping[str, Any], max_bytes: int, *, headed: bool) -> bytes:
        name = str(pod["metadata"]["name"])
        head = json.dumps({"event": "worker_log", "worker": reading.index(pod), "pod": name}).encode() + b"\n"
        query = {"container": manifest.CONTAINER, "tailLines": str(_TAIL_LINES), "limitBytes": str(_TAIL_BYTES)}
        try:
            # The server's own limit keeps the beginning of the tail; what matters is its end.
            text = self._api.text(f"{self._pods}/{name}/log", query, _TAIL_BYTES)[-max_bytes:]
        except (errors.InputError, errors.UnavailableError) as exc:
            log.warning("training_log_lost", pod=name, reason=str(exc))
            text = json.dumps({"event": "log_lost", "message": f"the log cannot be had: {exc}"}).encode() + b"\n"
        return head + text if headed else text


def _of(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods of this Job, and of no earlier one of its name."""
    uid = job["metadata"]["uid"]
    return [one for one in pods if one["metadata"].get("labels", {}).get("batch.kubernetes.io/controller-uid") == uid]
