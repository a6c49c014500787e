"""What a Kubernetes Job and its pods say, as a `Job`: pure. Why it waits and why it ended, in the cluster's words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skerry.controller.jobs import manifest
from skerry.controller.jobs.protocol import DEADLINE, OUT_OF_MEMORY, Job, State

Json = Mapping[str, Any]

_MAX_CHARS = 400
# A pod that was ended from outside ends with these; its Job may be started again.
_DISRUPTED = "DisruptionTarget"
_SIGNAL_BASE = 128
_BEGUN = ("Running", "Succeeded", "Failed")
_ENDING = frozenset({"FailureTarget", "SuccessCriteriaMet"})  # its pods are on their way out


def read(job: Json, pods: Sequence[Json]) -> Job:
    """`job` as the API gave it, `pods` those of it. A Job that somebody deletes is as good as gone."""
    if job["metadata"].get("deletionTimestamp"):
        return Job(State.ABSENT)
    asked = job["metadata"].get("annotations", {}).get(manifest.SUSPEND) == "true"
    conditions = {one["type"]: one for one in job.get("status", {}).get("conditions", ()) if one["status"] == "True"}
    if "Complete" in conditions:
        return Job(State.ENDED, 0)
    if failed := conditions.get("Failed"):
        return _failed(failed, pods)
    if job["spec"].get("suspend"):
        return Job(State.SUSPENDED, reason="Suspended", message=_who_suspends(job, asked), suspend=asked)
    workers = int(job["spec"].get("parallelism") or 1)
    running = sum(_phase(pod) in _BEGUN for pod in pods)
    if running >= workers or _ENDING & conditions.keys():
        return Job(State.RUNNING, suspend=asked)
    reason, message = next(filter(None, map(_waits_for, pods)), ("Starting", _pods_missing(len(pods), workers, job)))
    return Job(State.WAITING, reason=reason, message=message[:_MAX_CHARS], suspend=asked)


def _who_suspends(job: Json, asked: bool) -> str:
    queue = job["metadata"].get("labels", {}).get(manifest.QUEUE)
    if asked:
        return "spec.suspend is true"
    name = job["metadata"]["name"]
    return f"queue {queue} has not admitted it yet" if queue else f"Job {name} was suspended from outside"


def _pods_missing(there: int, workers: int, job: Json) -> str:
    name = job["metadata"]["name"]
    if there >= workers:
        return ""
    return f"{there} of {workers} pods are there: if that stays so, `kubectl describe job {name}` says why"


def _waits_for(pod: Json) -> tuple[str, str] | None:
    """Why a pod does not run yet: its image, its configuration, or no node for it."""
    if _phase(pod) != "Pending":
        return None
    for state in _states(pod):
        if waiting := state.get("waiting"):
            reason = waiting.get("reason") or "Starting"
            if reason not in ("ContainerCreating", "PodInitializing"):
                return reason, f"{_name(pod)}: {waiting.get('message') or reason}"
    for one in pod.get("status", {}).get("conditions", ()):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return one.get("reason") or "Unschedulable", f"{_name(pod)}: {one.get('message') or 'no node takes it'}"
    return None


def _failed(condition: Json, pods: Sequence[Json]) -> Job:
    """The Job failed: by its deadline, by a trainer's own end, or because a pod was taken away."""
    if condition.get("reason") == DEADLINE:
        waits = next(filter(None, map(_waits_for, pods)), None)
        said = f"; it waited: {waits[0]}: {waits[1]}" if waits else ""
        return Job(State.ENDED, None, DEADLINE, f"{condition.get('message') or ''}{said}"[:_MAX_CHARS])
    for pod in pods:
        if taken := _taken(pod):
            return Job(State.ENDED, None, taken[0], f"{_name(pod)}: {taken[1]}"[:_MAX_CHARS])
    ends = sorted(_ends(pods), key=lambda end: (end[1].get("reason") != OUT_OF_MEMORY, end[1].get("finishedAt") or ""))
    if not ends:
        return Job(State.ENDED, None, "PodLost", f"its pods are gone ({condition.get('message') or 'no reason given'})")
    pod, end = ends[0]
    code, reason = int(end["exitCode"]), end.get("reason") or "Error"
    if reason == OUT_OF_MEMORY:
        text = f"{_name(pod)} needed more memory than its limit allows: raise spec.template.resources.limits.memory"
        return Job(State.ENDED, code, OUT_OF_MEMORY, text[:_MAX_CHARS])
    text = f"{_name(pod)} on node {pod['spec'].get('nodeName', '?')} ended with code {code}, {reason}"
    return Job(State.ENDED, _SIGNAL_BASE - code if code > _SIGNAL_BASE else code, reason, text[:_MAX_CHARS])


def _taken(pod: Json) -> tuple[str, str] | None:
    """The pod did not end by itself: it was evicted, preempted, or its node is gone."""
    status = pod.get("status", {})
    for one in status.get("conditions", ()):
        if one["type"] == _DISRUPTED and one["status"] == "True":
            return one.get("reason") or _DISRUPTED, one.get("message") or "it was ended from outside"
    if status.get("phase") == "Failed" and status.get("reason"):
        return str(status["reason"]), str(status.get("message") or "it was ended from outside")
    return None


def _ends(pods: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Pods whose trainer ended with a code, and how."""
    for pod in pods:
        for state in _states(pod):
            if (end := state.get("terminated")) and end.get("exitCode"):
                yield pod, end


def _states(pod: Json) -> Iterator[Json]:
    for container in pod.get("status", {}).get("containerStatuses", ()):
        yield container.get("state", {})


def _phase(pod: Json) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def index(pod: Json) -> int:
    """Which worker the pod is."""
    return int(pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index", 0))


def _name(pod: Json) -> str:
    return f"worker {index(pod)}"
