"""README and pages of docs/, typed line by line from the files into a cluster with nothing of skerry in it, as their
reader would. Of what a reader brings along only this is given: images under the names that the charts look for,
storage, the DNS name of his cloud, and a root shell on his edge nodes (SKERRY_NODE_SHELL, the node's name is put
behind).
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import doc_blocks
import kube
import kube_faults
import kube_site
import pytest
import require
import yaml
from doc_blocks import ROOT, Block
from doc_table import CLUSTER, NODE
from kube_site import EDGE_LABEL, TAG

README, FIRST_EDGE = "README.md", "docs/start/kubernetes.md"
INSTALL, OPERATIONS = "docs/how-to/install.md", "docs/how-to/operations.md"
TROUBLE, FIRST_MODEL = "docs/how-to/when-something-is-wrong.md", "docs/start/first-model.md"
SPACES = ("skerry", "skerry-edge", "skerry-edges", "skerry-training")
VERSION = yaml.safe_load((ROOT / "helm" / "skerry" / "Chart.yaml").read_text())["appVersion"]
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
VOLUMES = "/var/lib/skerry-reader"
VALKEY = "valkey/valkey:8.1-alpine"
pytestmark = [
    kube.requires_cluster,
    require.requires(
        "documents", bool(os.environ.get("SKERRY_NODE_SHELL")), "`make test-kind`: SKERRY_NODE_SHELL is a root shell"
    ),
]


class Reader:
    """Types blocks of commands in a folder of his own, with a checkout's charts in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = [one["metadata"]["name"] for one in kube.items("nodes")]
        self.edges = [one["metadata"]["name"] for one in kube.items("nodes", "-l", f"{EDGE_LABEL}=true")]
        for part in ("helm", "k8s"):
            (folder / part).symlink_to(ROOT / part)
        doc_blocks.write_files(FIRST_MODEL, folder)
        subprocess.run([sys.executable, "toy.py"], cwd=folder, check=True)
        self._environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NODE": self.edges[0]}

    def types(self, page: str, which: Callable[[Block], bool] = lambda block: True) -> str:
        """The blocks of a page that are played on a cluster, those that `which` takes."""
        shown = [block for block, how in doc_blocks.table(page) if how == CLUSTER and which(block)]
        assert shown
        return doc_blocks.typed(shown, self.folder, self._environment, 900, lambda: kube.state_of(SPACES))

    def types_on_edges(self, page: str) -> None:
        """As root on every edge node."""
        for block, how in doc_blocks.table(page):
            for node in self.edges if how == NODE else ():
                _as_root(node, block.text)


def _shows(text: str) -> Callable[[Block], bool]:
    return lambda block: text in block.text


def _shows_none_of(*texts: str) -> Callable[[Block], bool]:
    return lambda block: not any(text in block.text for text in texts)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    _take_everything_away()
    made = Reader(tmp_path_factory.mktemp("reader"))
    _bring_images(made.nodes)
    _bring_volumes(made.nodes)
    _name_the_cloud("skerry.example.com", "skerry-gateway.skerry.svc.cluster.local")
    for node in made.edges:  # of a cluster like any other: nothing keeps pods off
        kube.kubectl("taint", "node", node, f"{EDGE_LABEL}-", check=False)
    yield made
    if not os.environ.get("SKERRY_CLUSTER_KEEP"):
        _take_everything_away()


def _take_everything_away() -> None:
    """Of the reader, and of the tests that came before him."""
    for listed in json.loads(kube.run("helm", "list", "-A", "-o", "json")):
        kube.run("helm", "uninstall", listed["name"], "-n", listed["namespace"], timeout_s=90, check=False)
    kube.kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=skerry", "--timeout=60s", timeout_s=90, check=False)
    kube.kubectl("delete", "namespace", *SPACES, kube_site.TEST, kube_site.SITE, "--ignore-not-found", timeout_s=150)
    kube.kubectl("delete", "pv", "-l", "skerry-test=volume")
    for node in kube.items("nodes"):
        _as_root(node["metadata"]["name"], f"rm -rf {VOLUMES} /var/lib/skerry")


def _bring_images(nodes: list[str]) -> None:
    """Under the names that the charts look for when nobody says otherwise."""
    wanted = {f"skerry-{name}:{TAG}": f"skerry-{name}:{VERSION}" for name in ("agent", "cloud", "trainer")}
    wanted[f"skerry-valkey:{TAG}"] = VALKEY
    for built, name in wanted.items():
        kube.run("docker", "tag", built, name)
    kube_faults.load_images(list(wanted.values()), nodes)


def _as_root(node: str, script: str) -> None:
    kube.run("sh", "-c", f"{os.environ['SKERRY_NODE_SHELL']} {shlex.quote(node)} sh -e", stdin=script)


def _bring_volumes(nodes: list[str]) -> None:
    """For the default class of a cluster that makes none by itself: of each size that the charts ask for, and of each
    as many as installations follow one another here."""
    classes = [one for one in kube.items("storageclass") if DEFAULT_CLASS in one["metadata"].get("annotations", {})]
    assert classes, "the page says that there must be a default storage class"
    if classes[0]["provisioner"] != "kubernetes.io/no-provisioner":
        return
    sizes = [(f"{size.lower()}-{turn}", size) for size in ("20Gi", "5Gi", "1Gi") for turn in "123"]
    folders = " ".join(f"{VOLUMES}/{name}" for name, _ in sizes)
    for node in nodes:
        _as_root(node, f"install -d -o 10001 -g 10001 -m 2770 {folders}")
        kube.apply(*(_volume(classes[0]["metadata"]["name"], node, *one) for one in sizes))


def _volume(storage_class: str, node: str, name: str, size: str) -> dict[str, object]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"reader-{node}-{name}", "labels": {"skerry-test": "volume"}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": f"{VOLUMES}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _name_the_cloud(name: str, service: str) -> None:
    """What the reader's DNS does for the host that he wrote into `hosts`."""
    corefile = kube.get("-n", "kube-system", "configmap", "coredns")["data"]["Corefile"]
    if name not in corefile:
        ready = corefile.replace("    ready\n", f"    ready\n    rewrite name {name} {service}\n")
        assert name in ready
        patch = json.dumps({"data": {"Corefile": ready}})
        kube.kubectl("-n", "kube-system", "patch", "configmap", "coredns", "--type=merge", "-p", patch)
        kube.kubectl("-n", "kube-system", "rollout", "restart", "deploy/coredns")
        kube.kubectl("-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=90s", timeout_s=100)


def test_the_first_edge_answers_by_the_page_and_nothing_else(reader: Reader) -> None:
    said = reader.types(FIRST_EDGE, _shows_none_of("helm uninstall"))
    assert "modelrollout.skerry.dev/fault-v1-auto condition met" in said
    assert "answered one request" in said
    fleet = kube.get("-n", "skerry", "edgefleet", "all")
    assert fleet["status"]["nodes"] == 1


def test_a_reader_looks_for_trouble_saves_everything_and_renews_keys(reader: Reader) -> None:
    assert "fault-v1-auto" in reader.types(TROUBLE, _shows("modelrollouts"))
    reader.types(OPERATIONS, _shows("keys/$role"))
    reader.types(OPERATIONS, _shows("skerry backup -"))
    reader.types(OPERATIONS, _shows("> secrets.yaml"))


def test_an_upgrade_keeps_the_fleet_as_somebody_changed_it(reader: Reader) -> None:
    change = ("patch", "edgefleet", "all", "--type=merge", "-p", '{"spec": {"maxUnavailable": "20%"}}')
    kube.kubectl("-n", "skerry", *change)
    reader.types(INSTALL, _shows("helm upgrade skerry-crds"))
    assert kube.get("-n", "skerry", "edgefleet", "all")["spec"]["maxUnavailable"] == "20%"


def test_everything_goes_by_the_page_of_purging(reader: Reader) -> None:
    reader.types(FIRST_EDGE, _shows("helm uninstall"))
    reader.types(INSTALL, _shows("kubectl delete crd"))
    assert kube.items("crd", "-l", "app.kubernetes.io/part-of=skerry") == []
    left = kube.kubectl("get", "namespace", *SPACES, "--ignore-not-found", "-o", "name")
    assert left == ""


def test_what_was_saved_comes_back_into_a_new_installation(reader: Reader) -> None:
    reader.types(OPERATIONS, _shows("apply -f secrets.yaml"))
    reader.types(README, _shows("helm install skerry-crds"))
    assert "Succeeded" in reader.types(INSTALL, _shows("helm test skerry"))
    reader.types(OPERATIONS, _shows("--replicas=0"))
    assert kube.get("-n", "skerry", "modelversion", "fault-v1")["spec"]["source"] == "Imported"


def test_edges_join_by_the_readme_and_in_the_ways_of_the_page_of_installing(reader: Reader) -> None:
    reader.types(README, _shows("skerry nodes token create"))
    reader.types(README, _shows("kubectl -n skerry get edgemodels"))
    told = reader.types(INSTALL, _shows("skerry nodes token list"))
    assert "press-*" in told
    assert "Succeeded" in reader.types(INSTALL, _shows("namespace skerry-edge pod-security"))
    reader.types_on_edges(INSTALL)
    reader.types(INSTALL, _shows("kubectl label node"))
    reader.types(INSTALL, _shows("--set mode=joined"))
    kube.wait_until("every edge node of the cluster has joined", lambda: set(reader.edges) <= _joined(), 60)
    reader.types(INSTALL, _shows("helm uninstall edge "))


def _joined() -> set[str]:
    return {one["metadata"]["name"] for one in kube.items("-n", "skerry", "edgenodes")}
