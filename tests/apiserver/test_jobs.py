"""Training jobs before the Kubernetes API: what it takes, in which words, and who lets a job go on."""

from typing import Any

import pytest
from apiserver_process import requires_apiserver
from training_place import KEY, NOW_S, TEMPLATE, Place, order, terminated

from skerry.controller.jobs.kubernetes import QUEUE_S
from skerry.controller.jobs.protocol import Job, Order, State
from skerry.core import errors, job_tickets


def test_a_job_is_started_waits_runs_ends_and_is_forgotten(place: Place) -> None:
    assert place.poll() == Job(State.ABSENT)
    place.jobs.start(order())
    assert place.poll().state is State.WAITING and place.poll().reason == "Starting"
    place.add_pod(phase="Running")
    assert place.poll() == Job(State.RUNNING)
    assert list(place.controller().names()) == ["run-1"], "a controller that starts anew knows it"
    place.end("Complete")
    assert place.poll() == Job(State.ENDED, 0)
    place.jobs.stop("run-1")
    assert (place.poll(), list(place.jobs.names())) == (Job(State.ABSENT), [])


def test_starting_a_running_job_again_changes_nothing(place: Place) -> None:
    place.jobs.start(order())
    before = place.job()["metadata"]
    place.jobs.start(order())
    assert place.job()["metadata"] == before


def test_a_job_that_ended_is_started_anew_and_its_old_pods_are_not_its(place: Place) -> None:
    place.jobs.start(order())
    place.add_pod(**terminated(1, "Error"))
    place.end("Failed")
    assert place.poll().exit_code == 1
    place.jobs.start(order())
    assert place.poll().state is State.WAITING


def test_the_job_is_what_was_asked_for_in_the_words_of_the_api(place: Place) -> None:
    place.jobs.start(Order("run-1", "digits", 900, TEMPLATE))
    found = place.job()
    assert found["metadata"]["labels"]["team"] == "vision"
    assert found["metadata"]["labels"]["skerry.dev/model"] == "digits"
    pod = found["spec"]["template"]
    assert pod["metadata"]["labels"].items() >= {"team": "vision", "skerry.dev/run": "run-1"}.items()
    assert pod["spec"]["nodeSelector"] == {"example.com/gpu": "a2"}
    assert pod["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert (found["spec"]["activeDeadlineSeconds"], found["spec"]["backoffLimit"]) == (960, 0)


def test_the_ticket_opens_the_door_for_this_run_while_a_queue_may_hold_it(place: Place) -> None:
    place.jobs.start(order())
    env = {one["name"]: one["value"] for one in place.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert job_tickets.check(KEY, env["SKERRY_TICKET"], now_unix_s=NOW_S + 900 + QUEUE_S - 1) == "run-1"


def test_several_workers_are_an_indexed_job_with_one_headless_service_for_all_runs(place: Place) -> None:
    for run in ("run-1", "run-2"):
        place.jobs.start(order(run, workers=3))
    found = place.job()["spec"]
    assert (found["completionMode"], found["completions"], found["parallelism"]) == ("Indexed", 3, 3)
    assert found["template"]["spec"]["subdomain"] == "skerry-workers"
    services = place.api.get(f"/api/v1/namespaces/{place.namespace}/services", {})["items"]
    assert [(one["metadata"]["name"], one["spec"]["clusterIP"]) for one in services] == [("skerry-workers", "None")]
    for index in range(3):
        assert place.poll().state is State.WAITING
        place.add_pod(index, phase="Running")
    assert place.poll().state is State.RUNNING


@requires_apiserver
def test_a_pod_of_ours_is_let_in_by_the_restricted_profile_and_a_lesser_one_is_not(real_place: Place) -> None:
    place = real_place
    place.jobs.start(Order("run-1", "digits", 900, TEMPLATE))
    spec = place.job()["spec"]["template"]["spec"]
    pods, dry = f"/api/v1/namespaces/{place.namespace}/pods", {"dryRun": "All"}

    def ask(changed: dict[str, Any]) -> None:
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try"}, "spec": changed}
        place.api.create(pods, made, dry)

    ask(spec)
    for changed in (
        spec | {"securityContext": {}},
        spec | {"hostNetwork": True},
        spec | {"volumes": [*spec["volumes"], {"name": "host", "hostPath": {"path": "/"}}]},
    ):
        with pytest.raises(errors.RejectedError, match="PodSecurity"):
            ask(changed)


def test_a_held_job_waits_and_goes_on_when_the_run_says_so(place: Place) -> None:
    place.jobs.start(order(suspend=True))
    held = place.poll()
    assert (held.state, held.suspend, held.message) == (State.SUSPENDED, True, "spec.suspend is true")
    place.jobs.start(order())
    assert place.job()["spec"]["suspend"] is False
    assert (place.poll().state, place.poll().suspend) == (State.WAITING, False)
    place.jobs.start(order(suspend=True))
    assert place.job()["spec"]["suspend"] is True


def test_a_queue_lets_a_job_go_on_and_may_take_it_back(place: Place) -> None:
    place.jobs.start(order(queue="nightly"))
    assert place.job()["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nightly"
    waiting = place.poll()
    assert (waiting.state, waiting.suspend) == (State.SUSPENDED, False) and "queue nightly" in waiting.message
    for suspended in (False, True, False):
        place.patch_job({"spec": {"suspend": suspended}})
        place.jobs.start(order(queue="nightly"))
        assert place.job()["spec"]["suspend"] is suspended, "what the queue says stands"
    assert place.poll().state is State.WAITING
