"""The controller on a real API server, with agents and a trainer that do what they should: what people see of it, what
it costs at rest, and what bad intent comes to."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import controlling
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controlling import MODEL, World
from fault_proxy import Answer, Cut, FaultProxy

from skerry.adapters import events, objects
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.core import errors, writers

pytestmark = requires_apiserver

KINDS = ("EdgeFleet", "EdgeModel", "EdgeNode", "ModelRollout", "ModelVersion", "TrainingRun")


class Cluster(World):
    """A world whose objects lie behind the proxy. Agents and people reach the API server by a way of their own."""

    def __init__(self, tmp: Path, server: ApiServer, namespace: str, nodes: int = 2) -> None:
        self.server, self.namespace = server, namespace
        store = objects.open_objects(f"kubernetes://{namespace}")
        assert isinstance(store, KubernetesObjects)
        super().__init__(tmp, nodes, store, time.time_ns() // 1_000_000)
        store.changes(0, timeout_s=0, kinds=KINDS)  # as the leader's loop does: reads come from watches from here on

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.server.kubectl("-n", self.namespace, *arguments, check=check)

    def patch(self, name: str, **spec: Any) -> None:
        self.kubectl("patch", "mr", name, "--type=merge", "-p", json.dumps({"spec": spec}))
        self.settle()

    def settle(self) -> None:
        """The watches have told what others wrote."""
        wanted = {kind: {one.name: one.resource_version for one in self._listed(kind)} for kind in KINDS}
        end = time.monotonic() + 20
        while {kind: {one.name: one.resource_version for one in self.objects.list(kind)} for kind in KINDS} != wanted:
            assert time.monotonic() < end, "the watches do not come to what is"
            time.sleep(0.01)

    def _listed(self, kind: str) -> list[Any]:
        path = self.objects._api.get(objects.resources.path(self.namespace, kind))
        return [objects.resources.parse(kind, one) for one in path["items"]]

    def state(self, rollout: str) -> dict[str, Any]:
        """Its status; empty while there is none."""
        found = [one for one in self.objects.list("ModelRollout") if one.name == rollout]
        return dict(found[0].status) if found else {}

    def phase(self, name: str) -> str:
        return str(self.state(name).get("phase"))

    def until(self, done: Callable[[], bool], ticks: int = 60) -> None:
        for _ in range(ticks):
            if done():
                return
            self.run(1)
            self.settle()
        raise AssertionError("the controller does not get there")


@pytest.fixture
def cluster(server: ApiServer, proxy: FaultProxy, namespace: str, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, server, namespace)
    yield made
    made.objects.close()


def columns(text: str) -> dict[str, str]:
    """The one row of `kubectl get -o wide`, by column; empty columns are left out."""
    head, row = text.splitlines()[:2]
    starts = [index for index, letter in enumerate(head) if letter != " " and (index == 0 or head[index - 1] == " ")]
    ends = [*starts[1:], max(len(head), len(row))]
    cut = {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}
    return {name: value for name, value in cut.items() if value}


def test_a_rollout_reads_like_a_story(cluster: Cluster) -> None:
    cluster.import_version(1)
    cluster.run(2)
    rollout = f"{MODEL}-v1-auto"
    seen = columns(cluster.kubectl("get", "mr", rollout))
    assert {
        "MODEL": MODEL,
        "VERSION": f"{MODEL}-v1",
        "WAVE": "canary (1/2)",
        "PHASE": "Progressing",
    }.items() <= seen.items()
    assert (seen["UPDATED"], seen["FAILED"], seen["DEFERRED"], seen["PAUSED"]) == ("0/2", "0", "0", "false")
    waits = cluster.kubectl("wait", "--for=condition=Succeeded", f"mr/{rollout}", "--timeout=1s", check=False)
    assert "timed out" in waits
    cluster.until(lambda: cluster.phase(rollout) == "Succeeded")
    seen = columns(cluster.kubectl("get", "mr", rollout))
    assert (seen["WAVE"], seen["UPDATED"], seen["VERDICT"], seen["PHASE"]) == ("rest (2/2)", "2/2", "Pass", "Succeeded")
    cluster.kubectl("wait", "--for=condition=Succeeded", f"mr/{rollout}", "--timeout=5s")
    model = columns(cluster.kubectl("get", "em", MODEL))
    assert (model["STABLE"], model["READY"]) == (f"{MODEL}-v1", "True")
    version = columns(cluster.kubectl("get", "mv", f"{MODEL}-v1"))
    assert (version["MODEL"], version["VERSION"], version["SOURCE"], version["AVAILABLE"]) == (
        MODEL,
        "1",
        "Imported",
        "True",
    )
    fleet = columns(cluster.kubectl("get", "ef", "all"))
    assert (fleet["NODES"], fleet["ONLINE"], fleet["OFFLINE"], fleet["MAXUNAVAILABLE"]) == ("2", "2", "0", "1")
    node = columns(cluster.kubectl("get", "en", "edge-1"))
    assert (node["CONNECTED"], node["MODELS"], node["SERVES"], node["STATE"]) == ("true", MODEL, "1", "Serving")
    everything = cluster.kubectl("get", "skerry")
    assert all(f"{kind.lower()}.skerry.dev/" in everything for kind in KINDS if kind != "TrainingRun")


def test_a_run_reads_like_a_story(cluster: Cluster) -> None:
    cluster.ask_run("by-hand")
    cluster.until(lambda: cluster.condition("TrainingRun", "by-hand", "Succeeded")[0] == "True")
    seen = columns(cluster.kubectl("get", "tr", "by-hand"))
    assert (seen["MODEL"], seen["REASON"], seen["SUCCEEDED"], seen["VERSION"]) == (
        MODEL,
        "by hand",
        "True",
        f"{MODEL}-v1",
    )
    cluster.kubectl("wait", "--for=condition=Succeeded", "tr/by-hand", "--timeout=5s")


def test_at_rest_the_api_server_hears_nothing_but_watches(cluster: Cluster, proxy: FaultProxy) -> None:
    """No write, no read: a hundred rounds of the controller beside a settled fleet."""
    cluster.import_version(1)
    cluster.until(lambda: cluster.phase(f"{MODEL}-v1-auto") == "Succeeded")
    cluster.run(3)
    cluster.settle()
    proxy.reset()
    for _ in range(100):
        cluster.now_ms += 100
        cluster.tick()
    assert [one.key for one in proxy.seen() if not one.key.startswith("WATCH")] == []


def test_pausing_and_going_on_resets_no_wave_and_waiting_works_after_a_patch(cluster: Cluster) -> None:
    rollout = f"{MODEL}-v1-auto"
    cluster.import_version(1)
    cluster.until(lambda: cluster.state(rollout).get("wave") == 1)
    before = cluster.state(rollout)
    cluster.patch(rollout, paused=True)
    cluster.run(3)
    cluster.kubectl("wait", "--for=condition=Paused", f"mr/{rollout}", "--timeout=5s")
    held = cluster.state(rollout)
    assert (held["attempt"], held["wave"], held["phase"]) == (1, 1, "Paused")
    assert held["waves"][0] == before["waves"][0]
    assert columns(cluster.kubectl("get", "mr", rollout))["PAUSED"] == "true"
    cluster.patch(rollout, paused=False)
    cluster.until(lambda: cluster.phase(rollout) == "Succeeded")
    assert cluster.state(rollout)["attempt"] == 1
    # A patch of a rollout that has ended changes nothing but the generation, and waiting for it still works.
    cluster.patch(rollout, paused=True)
    cluster.run(2)
    cluster.kubectl("wait", "--for=condition=Succeeded", f"mr/{rollout}", "--timeout=5s")


def test_aborting_takes_back_and_says_so_to_who_waits(cluster: Cluster) -> None:
    cluster.import_version(1)
    cluster.until(lambda: cluster.phase(f"{MODEL}-v1-auto") == "Succeeded")
    cluster.import_version(2)
    rollout = f"{MODEL}-v2-auto"
    cluster.until(lambda: cluster.serving()["edge-1"] == 2 or cluster.serving()["edge-2"] == 2)
    cluster.patch(rollout, desired="Abort")
    cluster.until(lambda: cluster.phase(rollout) == "RolledBack")
    assert cluster.serving() == {"edge-1": 1, "edge-2": 1}
    assert cluster.condition("ModelRollout", rollout, "Succeeded") == ("False", "Aborted")
    cluster.kubectl("wait", "--for=condition=Succeeded=false", f"mr/{rollout}", "--timeout=5s")
    assert columns(cluster.kubectl("get", "mr", rollout, "-o", "wide"))["REASON"] == "Aborted"
    assert cluster.stable == f"{MODEL}-v1"


def test_what_happened_stands_under_describe(cluster: Cluster) -> None:
    told = events.open_events(f"kubernetes://{cluster.namespace}", "skerry-controller")
    cluster.reconciler._store._events = told
    cluster.import_version(1)
    rollout = f"{MODEL}-v1-auto"
    cluster.until(lambda: cluster.phase(rollout) == "Succeeded")
    end = time.monotonic() + 20
    while "Succeeded" not in (text := cluster.kubectl("events", "--for", f"modelrollout/{rollout}")):
        assert time.monotonic() < end, text
    assert text.count("WaveStarted") == 2
    assert text.count("wave canary: ") >= 1
    assert "skerry-controller" in cluster.kubectl("describe", "mr", rollout)


# ---- intent that is wrong, or turns wrong on the way


def start(cluster: Cluster, name: str, version: str, **spec: Any) -> None:
    made = {"model": MODEL, "version": version, "waves": controlling.WAVES, **spec}
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
    made = controlling.edge_model(cluster.dataset)
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


# ---- faults on the way


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
