"""One installation for all tests of this folder; what a test needs beside it is a fixture, so each runs alone too."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import kube
import kube_cameras
import kube_digits
import kube_site
import pytest
from kube_digits import MODEL
from kube_site import CLOUD, TOOLBOX, Site

RATE = 20.0


@dataclass(frozen=True, slots=True)
class Serving:
    """Both nodes serve version 1, a teacher is there, and cameras ask since `since_s`."""

    site: Site
    cameras: kube_cameras.Cameras
    since_s: float


@pytest.fixture(scope="session")
def data() -> kube_digits.Digits:
    return kube_digits.Digits()


@pytest.fixture(scope="session")
def teaching(data: kube_digits.Digits) -> Iterator[kube_digits.Teaching]:
    with kube_digits.teaching(data) as begun:
        yield begun


@pytest.fixture(scope="session")
def site(teaching: kube_digits.Teaching) -> Iterator[Site]:
    with kube_site.installed() as made:
        yield made


@pytest.fixture(scope="session")
def serving(site: Site, data: kube_digits.Digits, teaching: kube_digits.Teaching) -> Serving:
    if site.rollout("digits-v1-auto") is None:
        _first_version(site, data, teaching)
    site.succeeded("digits-v1-auto")
    kube.kubectl("-n", CLOUD, "rollout", "status", "deploy/skerry-teacher", "--timeout=60s", timeout_s=70)
    cameras = site.cameras("cameras", {kube_site.EDGE_LABEL: "true"}, MODEL, data.images)
    # The agents' Service: each camera reaches the agent of its own node.
    address = kube.get("-n", kube_site.EDGE, "service", kube_site.AGENTS)["spec"]["clusterIP"]
    cameras.roll(f"{address}:8001", RATE)
    return Serving(site, cameras, time.time())


def _first_version(site: Site, data: kube_digits.Digits, teaching: kube_digits.Teaching) -> None:
    fleet = {"apiVersion": "skerry.dev/v1alpha1", "kind": "EdgeFleet", "metadata": {"name": "all", "namespace": CLOUD}}
    kube.apply(fleet | {"spec": {"maxUnavailable": 1, "offlineAfterSeconds": 8}})
    site.skerry("models", "apply", site.put("digits.json", json.dumps(kube_digits.edge_model(site.cloud)).encode()))
    site.skerry("datasets", "import", site.put("digits.npz", data.dataset), "--model", MODEL)
    site.skerry("retrain", MODEL)
    unpack = "mkdir -p /var/lib/skerry/teacher && tar -C /var/lib/skerry/teacher -xf -"
    kube.execute(CLOUD, TOOLBOX, "sh", "-c", unpack, stdin=teaching.archive())
    kube.kubectl("-n", CLOUD, "rollout", "restart", "deploy/skerry-teacher")
    site.waits("the rollout of version 1", lambda: site.rollout("digits-v1-auto"), 120)
