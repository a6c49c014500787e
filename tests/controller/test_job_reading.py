"""What a Kubernetes Job and its pods mean for a run: one row per thing that happens to Jobs."""

from typing import Any

import pytest

from skerry.controller.jobs import reading
from skerry.controller.jobs.protocol import Job, State


def job(*conditions: dict[str, Any], workers: int = 1, suspend: bool = False, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "run-1", "uid": "u", **metadata},
        "spec": {"parallelism": workers, "suspend": suspend},
        "status": {"conditions": list(conditions)},
    }


def true(kind: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def pod(phase: str = "Pending", index: int = 0, **status: Any) -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {"name": f"run-1-{index}", "annotations": annotations},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": phase, **status},
    }


def waiting(reason: str, message: str = "") -> list[dict[str, Any]]:
    return [{"state": {"waiting": {"reason": reason, "message": message}}}]


def ended(code: int, reason: str = "Error", at: str = "2026-01-01T00:00:00Z") -> list[dict[str, Any]]:
    return [{"state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at}}}]


UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}]
GATED = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}]
FAILED = true("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}
QUEUED = {"kueue.x-k8s.io/queue-name": "nightly"}


@pytest.mark.parametrize(
    ("found", "pods", "state", "code", "reason", "told"),
    [
        pytest.param(job(), [], State.WAITING, None, "Starting", "0 of 1 pods", id="a Job without pods yet"),
        pytest.param(job(), [pod()], State.WAITING, None, "Starting", "", id="a pod that starts"),
        pytest.param(job(), [pod("Running")], State.RUNNING, None, "", "", id="a pod that runs"),
        pytest.param(
            job(), [pod(conditions=UNSCHEDULABLE)], State.WAITING, None, "Unschedulable", "0/3 nodes fit", id="no node"
        ),
        pytest.param(
            job(), [pod(conditions=GATED)], State.WAITING, None, "SchedulingGated", "gated", id="a gate before nodes"
        ),
        pytest.param(
            job(),
            [pod(containerStatuses=waiting("ImagePullBackOff", "cannot pull x:1"))],
            State.WAITING,
            None,
            "ImagePullBackOff",
            "worker 0: cannot pull x:1",
            id="no image",
        ),
        pytest.param(
            job(),
            [pod(containerStatuses=waiting("ContainerCreating"))],
            State.WAITING,
            None,
            "Starting",
            "",
            id="a container that is being made is no trouble",
        ),
        pytest.param(
            job(workers=2), [pod("Running")], State.WAITING, None, "Starting", "1 of 2 pods", id="one of two runs"
        ),
        pytest.param(
            job(workers=2),
            [pod("Running"), pod("Succeeded", 1)],
            State.RUNNING,
            None,
            "",
            "",
            id="one of two is done already",
        ),
        pytest.param(
            job(workers=2),
            [pod("Running"), pod("Pending", 1, conditions=UNSCHEDULABLE)],
            State.WAITING,
            None,
            "Unschedulable",
            "worker 1: 0/3",
            id="the second has no node",
        ),
        pytest.param(
            job(suspend=True, labels=QUEUED), [], State.SUSPENDED, None, "Suspended", "queue nightly", id="in a queue"
        ),
        pytest.param(job(suspend=True), [], State.SUSPENDED, None, "Suspended", "from outside", id="by kubectl"),
        pytest.param(
            job(suspend=True, annotations={"skerry.dev/suspend": "true"}),
            [],
            State.SUSPENDED,
            None,
            "Suspended",
            "spec.suspend is true",
            id="by the run itself",
        ),
        pytest.param(job(true("Complete")), [pod("Succeeded")], State.ENDED, 0, "", "", id="a Job that is complete"),
        pytest.param(
            job(FAILED),
            [pod("Failed", containerStatuses=ended(1))],
            State.ENDED,
            1,
            "Error",
            "worker 0 on node node-a ended with code 1",
            id="a trainer that failed",
        ),
        pytest.param(
            job(FAILED),
            [pod("Failed", containerStatuses=ended(137, "OOMKilled"))],
            State.ENDED,
            137,
            "OOMKilled",
            "raise spec.template.resources.limits.memory",
            id="too little memory",
        ),
        pytest.param(
            job(FAILED),
            [pod("Failed", containerStatuses=ended(137))],
            State.ENDED,
            -9,
            "Error",
            "ended with code 137",
            id="a signal from outside",
        ),
        pytest.param(
            job(FAILED, workers=2),
            [
                pod("Failed", 0, containerStatuses=ended(1, at="2026-01-01T00:00:09Z")),
                pod("Failed", 1, containerStatuses=ended(3, at="2026-01-01T00:00:01Z")),
            ],
            State.ENDED,
            3,
            "Error",
            "worker 1",
            id="of two that failed the first to do so is the cause",
        ),
        pytest.param(
            job(FAILED, workers=2),
            [
                pod("Failed", 0, containerStatuses=ended(1, at="2026-01-01T00:00:01Z")),
                pod("Failed", 1, containerStatuses=ended(137, "OOMKilled", at="2026-01-01T00:00:09Z")),
            ],
            State.ENDED,
            137,
            "OOMKilled",
            "worker 1",
            id="but want of memory is the cause of all",
        ),
        pytest.param(
            job(FAILED),
            [pod("Failed", conditions=[EVICTED], containerStatuses=ended(143))],
            State.ENDED,
            None,
            "EvictionByEvictionAPI",
            "drained",
            id="a node that was drained",
        ),
        pytest.param(
            job(FAILED),
            [pod("Failed", reason="Evicted", message="low on memory")],
            State.ENDED,
            None,
            "Evicted",
            "low on memory",
            id="a node without memory",
        ),
        pytest.param(job(FAILED), [], State.ENDED, None, "PodLost", "its pods are gone", id="pods that vanished"),
        pytest.param(
            job(true("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")),
            [],
            State.ENDED,
            None,
            "DeadlineExceeded",
            "longer than specified deadline",
            id="out of time",
        ),
        *(
            pytest.param(job(true(kind)), [], State.RUNNING, None, "", "", id=f"{kind} is not yet the end")
            for kind in ("FailureTarget", "SuccessCriteriaMet")
        ),
        pytest.param(
            job(),
            [pod("Failed", containerStatuses=ended(1))],
            State.RUNNING,
            None,
            "",
            "",
            id="a pod that failed, before its Job has",
        ),
        pytest.param(
            job(deletionTimestamp="2026-01-01T00:00:00Z"), [pod("Running")], State.ABSENT, None, "", "", id="deleted"
        ),
    ],
)
def test_what_is_seen_means(
    found: dict[str, Any], pods: list[dict[str, Any]], state: State, code: int | None, reason: str, told: str
) -> None:
    read = reading.read(found, pods)
    assert (read.state, read.exit_code, read.reason) == (state, code, reason)
    assert told in read.message and len(read.message) <= 400


def test_what_was_asked_is_remembered_by_the_job() -> None:
    assert reading.read(job(annotations={"skerry.dev/suspend": "true"}), [pod("Running")]) == Job(
        State.RUNNING, suspend=True
    )


def test_a_long_message_is_cut() -> None:
    found = reading.read(job(), [pod(containerStatuses=waiting("ErrImagePull", "x" * 5000))])
    assert len(found.message) == 400
