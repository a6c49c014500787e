"""Backup and restore through the toolbox, and an uninstallation that leaves what the policy keeps and nothing else."""

import json
import time

import kube
import pytest
from kube_digits import MODEL
from kube_site import CLOUD, EDGE, TOOLBOX, TRAINING

from skerry.core import writers

pytestmark = kube.requires_cluster
KEPT_SECRETS = ("gateway-tls", "issuer", "keys-online", "keys-publisher", "keys-root", "tickets", "trust", "valkey")
# What every namespace has by itself.
OWN = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


def _stable(site) -> str:
    return str(site.store.get("EdgeModel", MODEL).status.get("stableVersion", ""))


def test_backup_and_restore(serving, capsys: pytest.CaptureFixture[str]) -> None:
    """Every resource of the namespace is deleted, and comes back; nodes serve on and go on from there."""
    site, began = serving.site, time.time()
    stable, nodes = _stable(site), sorted(site.nodes())
    kube.execute(CLOUD, TOOLBOX, "skerry", "backup", "/tmp/b.tar", timeout_s=120)
    kube.kubectl("-n", CLOUD, "scale", "deploy/skerry-controller", "--replicas=0")
    kube.kubectl("-n", CLOUD, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=controller")
    kube.kubectl("-n", CLOUD, "delete", "em,mv,mr,tr", "--all")
    assert site.store.list("EdgeModel") == []
    site.skerry("restore", "--merge", "/tmp/b.tar", timeout_s=120)
    kube.kubectl("-n", CLOUD, "scale", "deploy/skerry-controller", "--replicas=1")
    kube.kubectl("-n", CLOUD, "rollout", "status", "deploy/skerry-controller", "--timeout=60s", timeout_s=70)
    assert _stable(site) == stable
    assert sorted(site.nodes()) == nodes
    site.waits("every node on the stable version", lambda: all(site.serves(one, MODEL) for one in nodes), 60)
    with capsys.disabled():
        print(f"\n  backup and restore: {time.time() - began:.1f} s")  # noqa: T201


def _left(namespace: str) -> set[str]:
    kinds = kube.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    kinds = [kind for kind in kinds if not kind.startswith("events")]
    found = kube.kubectl("-n", namespace, "get", ",".join(kinds), "--ignore-not-found", "-o", "json", timeout_s=90)
    items = json.loads(found)["items"] if found.strip() else []
    return {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in items} - OWN


def test_an_uninstallation_leaves_what_the_policy_keeps_and_nothing_else(serving) -> None:
    site = serving.site
    resources = {f"{kind.lower()}/{one.name}" for kind in sorted(writers.CREATORS) for one in site.store.list(kind)}
    site.uninstall()
    for namespace in (CLOUD, EDGE):
        site.waits("the pods to end", lambda namespace=namespace: not kube.items("-n", namespace, "pods"), 90)
    secrets = {f"secret/skerry-{name}" for name in KEPT_SECRETS}
    claims = {"persistentvolumeclaim/skerry-data", "persistentvolumeclaim/data-skerry-valkey-0"}
    crds = {"secret/sh.helm.release.v1.skerry-crds.v1"}
    assert _left(CLOUD) == resources | secrets | claims | crds
    assert _left(EDGE) == {"secret/join"}
    site.waits(
        "the training namespace to go", lambda: not kube.kubectl("get", "namespace", TRAINING, "--ignore-not-found"), 60
    )
    kube.helm("uninstall", "skerry-crds", "-n", CLOUD)
    assert len(kube.items("crd", "-l", "app.kubernetes.io/part-of=skerry")) == len(writers.CREATORS)
    assert site.store.list("EdgeModel")
