"""The controller on a real API server: what people see of it, and what it costs at rest."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver_process import ApiServer, requires_apiserver
from controller_cluster import Cluster, columns
from controlling import MODEL
from fault_proxy import FaultProxy

from skerry.adapters import events
from skerry.controller.view import KINDS

pytestmark = requires_apiserver


@pytest.fixture
def cluster(server: ApiServer, proxy: FaultProxy, namespace: str, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, server, namespace)
    yield made
    made.objects.close()


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
    here = [kind for kind in KINDS if kind not in ("TrainingRun", "Exclusion", "Erasure")]
    assert all(f"{kind.lower()}.skerry.dev/" in everything for kind in here)


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
