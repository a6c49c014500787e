"""What bad intent, faults on the way and a killed API server come to, on a real API server."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import controlled_model
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controller_cluster import Cluster
from controlling import MODEL
from fault_proxy import Answer, Cut, FaultProxy

from skerry.core import errors, writers

pytestmark = requires_apiserver


@pytest.fixture
def cluster(server: ApiServer, proxy: FaultProxy, namespace: str, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, server, namespace)
    yield made
    made.objects.close()


def start(cluster: Cluster, name: str, version: str, **spec: Any) -> None:
    made = {"model": MODEL, "version": version, "waves": controlled_model.WAVES, **spec}
    cluster.objects.create("ModelRollout", name, made, manager=writers.OPERATOR)


def test_a_version_whose_files_are_missing_is_not_available_and_its_rollout_waits_and_can_be_aborted(
    cluster: Cluster,
) -> None:
    digest = "sha256:" + "7" * 64
    spec = {"model": MODEL, "version": 7, "digest": digest, "targetPath": f"imported/{MODEL}/7", "source": "Imported"}
    cluster.objects.create("ModelVersion", f"{MODEL}-v7", spec, manager=writers.OPERATOR)
    start(cluster, "r", f"{MODEL}-v7")
    cluster.run(4)
    assert cluster.condition("ModelVersion", f"{MODEL}-v7", "Available")[0] == "False"
    assert cluster.condition("ModelRollout", "r", "Accepted") == ("False", "VersionNotAvailable")
    assert cluster.condition("ModelRollout", "r", "Succeeded")[0] == "Unknown"
    cluster.patch("r", desired="Abort")
    cluster.run(2)
    assert cluster.condition("ModelRollout", "r", "Succeeded") == ("False", "Aborted")


def test_a_fleet_that_selects_no_node_pauses_and_goes_on_when_it_has_one(cluster: Cluster) -> None:
    cluster.edit_model(rollout={"automatic": False})
    cluster.import_version(1)
    cluster.objects.create("EdgeFleet", "moon", {"selector": {"site": "moon"}}, manager=writers.OPERATOR)
    start(cluster, "r", f"{MODEL}-v1", fleet="moon")
    cluster.run(3)
    assert (cluster.phase("r"), cluster.condition("ModelRollout", "r", "Paused")) == ("Paused", ("True", "EmptyWave"))
    assert cluster.condition("EdgeFleet", "moon", "Ready") == ("False", "NoNodes")
    cluster.objects.patch("EdgeNode", "edge-1", manager=writers.OPERATOR, spec={"labels": {"site": "moon"}})
    pause = cluster.state("r")["pauseNumber"]
    cluster.patch("r", resumedAttempt=1, resumedPause=pause)
    cluster.until(lambda: cluster.phase("r") == "Succeeded")


def test_a_fleet_that_is_not_there_is_waited_for(cluster: Cluster) -> None:
    cluster.edit_model(rollout={"automatic": False})
    cluster.import_version(1)
    start(cluster, "r", f"{MODEL}-v1", fleet="later")
    cluster.run(3)
    assert cluster.condition("ModelRollout", "r", "Accepted") == ("False", "FleetNotFound")
    cluster.objects.create("EdgeFleet", "later", {}, manager=writers.OPERATOR)
    cluster.until(lambda: cluster.phase("r") == "Succeeded")


def test_a_rollout_to_an_older_version_is_refused_unless_it_says_that_it_means_it(cluster: Cluster) -> None:
    for number in (1, 2):
        cluster.import_version(number)
        cluster.until(lambda number=number: cluster.phase(f"{MODEL}-v{number}-auto") == "Succeeded")
    start(cluster, "back", f"{MODEL}-v1")
    cluster.run(2)
    assert cluster.condition("ModelRollout", "back", "Succeeded") == ("False", "CounterNotMonotonic")
    assert "set spec.rollback to go back" in cluster.kubectl("describe", "mr", "back")
    assert cluster.serving() == {"edge-1": 2, "edge-2": 2}
    start(cluster, "meant", f"{MODEL}-v1", rollback=True)
    cluster.until(lambda: cluster.phase("meant") == "Succeeded")
    assert cluster.serving() == {"edge-1": 1, "edge-2": 1}


def test_of_two_rollouts_of_a_model_the_newer_goes_on(cluster: Cluster) -> None:
    cluster.import_version(1)
    cluster.until(lambda: cluster.state(f"{MODEL}-v1-auto").get("state") == "Progressing")
    time.sleep(1.1)  # times of creation have seconds in Kubernetes
    cluster.import_version(2)
    cluster.until(lambda: cluster.phase(f"{MODEL}-v2-auto") == "Succeeded")
    assert cluster.condition("ModelRollout", f"{MODEL}-v1-auto", "Succeeded") == ("False", "Superseded")
    assert cluster.serving() == {"edge-1": 2, "edge-2": 2}


def test_a_model_deleted_in_the_middle_of_its_rollout_breaks_nothing(cluster: Cluster) -> None:
    """The rollout goes on to its end, nodes keep what they were given, and the name can be used again."""
    cluster.import_version(1)
    rollout = f"{MODEL}-v1-auto"
    cluster.until(lambda: cluster.state(rollout).get("wave") == 1)
    cluster.kubectl("delete", "em", MODEL)
    cluster.settle()
    cluster.until(lambda: cluster.phase(rollout) == "Succeeded")
    assert cluster.serving() == {"edge-1": 1, "edge-2": 1}
    made = controlled_model.edge_model(cluster.dataset)
    cluster.objects.create("EdgeModel", MODEL, made, manager=writers.OPERATOR)
    cluster.import_version(2)
    cluster.until(lambda: cluster.phase(f"{MODEL}-v2-auto") == "Succeeded")


def test_what_a_lax_client_wrote_is_refused_by_the_controller_in_words(cluster: Cluster) -> None:
    text = json.dumps({"apiVersion": "skerry.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "odd"},
                       "spec": {"model": MODEL, "datasetDigest": cluster.dataset,
                                "template": {"tolerations": [{"operator": "Equal", "value": "x"}]}}})  # fmt: skip
    cluster.server.kubectl("create", "-n", cluster.namespace, "-f", "-", stdin=text)
    cluster.settle()
    cluster.run(2)
    assert cluster.condition("TrainingRun", "odd", "Accepted") == ("False", "Invalid")
    assert 'only operator "Exists" goes without one' in cluster.kubectl("describe", "tr", "odd")


FAULTS = [
    pytest.param(lambda: Answer(409, "Conflict"), 12, id="a storm of conflicts"),
    pytest.param(lambda: Answer(500), 8, id="internal errors"),
    pytest.param(lambda: Answer(429), 8, id="too many requests"),
    pytest.param(lambda: Answer(401, "Unauthorized"), 8, id="a token that ran out"),
    pytest.param(lambda: Cut(), 8, id="writes that happened and nobody says so"),
    pytest.param(lambda: Cut(after=200), 8, id="answers that end in the middle"),
]


@pytest.mark.parametrize(("fault", "times"), FAULTS)
def test_a_rollout_comes_to_the_same_end_through_faults(
    cluster: Cluster, proxy: FaultProxy, fault: Callable[[], Any], times: int
) -> None:
    """Every write of the controller meets one, again and again; no wave is passed twice, none begins anew."""
    rollout = f"{MODEL}-v1-auto"
    cluster.import_version(1)
    waves: list[int] = []
    proxy.inject("(PATCH|POST) .*(modelrollouts|modelversions|edgemodels|edgenodes/edge-.)", fault(), times)

    def step() -> bool:
        found = [one for one in cluster._listed("ModelRollout") if one.name == rollout]
        if not found or found[0].status.get("state") not in ("Progressing", "Succeeded"):
            return False
        waves.append(int(found[0].status["wave"]))
        assert found[0].status["attempt"] == 1
        return bool(found[0].status["state"] == "Succeeded")

    for _ in range(80):
        cluster.now_ms += 1000
        cluster.tick()
        _agents(cluster)
        if step():
            break
        cluster.settle()
    assert step()
    assert waves == sorted(waves)
    assert cluster.serving() == {"edge-1": 1, "edge-2": 1}


def _agents(cluster: Cluster) -> None:
    """The gateway's writes meet faults too; what it could not write it writes again with the next report."""
    try:
        cluster.agents()
    except errors.SkerryError:
        cluster.settle()


def test_an_api_server_that_is_killed_in_the_middle_of_a_wave_costs_time_only(
    cluster: Cluster, server: ApiServer
) -> None:
    rollout = f"{MODEL}-v1-auto"
    cluster.import_version(1)
    cluster.until(lambda: cluster.state(rollout).get("state") == "Progressing")
    before = cluster.state(rollout)
    server.kill()
    for _ in range(3):
        cluster.now_ms += 1000
        cluster.tick()  # tells it in the log, raises nothing
    server.start()
    cluster.until(lambda: cluster.phase(rollout) == "Succeeded")
    after = cluster.state(rollout)
    assert (after["attempt"], after["startedUnixMs"]) == (before["attempt"], before["startedUnixMs"])
