"""The controller's process in a cluster: waits for the API server, leads, tells its health, goes in order; and a token
that rotates under it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import custom_resources
import httpx2 as httpx
import pytest
from apiserver_process import ADMIN_TOKEN, ApiServer, requires_apiserver
from fault_proxy import Answer, FaultProxy
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig

from skerry.adapters.kubernetes import Api

pytestmark = requires_apiserver
LEASE = ("get", "lease", "skerry-controller", "-o", "json")


class Controller:
    """A process and its log."""

    def __init__(self, tmp: Path, proxy: FaultProxy, namespace: str, name: str) -> None:
        self.log = tmp / f"{name}.log"
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(custom_resources.ROOT / "services"),
            "KUBECONFIG": str(proxy.kubeconfig),
            "SKERRY_OBJECTS": f"kubernetes://{namespace}",
            "SKERRY_BLOBS": f"file://{tmp}/blobs",
            "SKERRY_REDIS_URL": f"unix://{tmp}/nobody.sock",
            "SKERRY_REPOSITORY": f"file://{tmp}/repository",
            "SKERRY_KEYS": f"{tmp}/keys",
            "SKERRY_HEALTH": "127.0.0.1:0",
            "SKERRY_TICK_SECONDS": "0.2",
        }
        command = [sys.executable, "-m", "skerry.controller.main"]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, env=given, stdout=out, stderr=subprocess.STDOUT)

    def wait_for(self, event: str) -> dict[str, Any]:
        end = time.monotonic() + 60
        while True:
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
            if found := [one for one in lines if one["event"] == event]:
                return dict(found[0])
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def page(self, path: str) -> tuple[int, str]:
        port = self.wait_for("ready")["health"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()


@pytest.fixture
def start(tmp_path: Path, proxy: FaultProxy, namespace: str) -> Iterator[Callable[[str], Controller]]:
    started: list[Controller] = []

    def make(name: str) -> Controller:
        started.append(Controller(tmp_path, proxy, namespace, name))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def test_it_waits_for_the_api_server_leads_tells_its_health_and_gives_the_lease_back(
    start: Callable[[str], Controller], proxy: FaultProxy, server: ApiServer, namespace: str
) -> None:
    proxy.inject(".", Answer(503, "ServiceUnavailable"), times=3)
    one = start("one")
    assert "refused" in one.wait_for("waiting_for_lease")["message"]
    assert one.wait_for("leading")["epoch"] == 1
    assert one.page("/healthz")[0] == 200
    assert "skerry_watch_last_event_age_seconds" in one.page("/metrics")[1]
    lease = json.loads(server.kubectl("-n", namespace, *LEASE))["spec"]
    assert lease["holderIdentity"].endswith(f"-{one.process.pid}")
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) == 0, one.log.read_text()
    assert not json.loads(server.kubectl("-n", namespace, *LEASE))["spec"].get("holderIdentity")


def test_cut_off_it_ends_and_the_other_leads(
    start: Callable[[str], Controller], proxy: FaultProxy, server: ApiServer, namespace: str
) -> None:
    one = start("one")
    one.wait_for("leading")
    server.kubectl(
        "-n",
        namespace,
        "patch",
        "lease",
        "skerry-controller",
        "--type=merge",
        "-p",
        '{"spec": {"holderIdentity": "x"}}',
    )
    assert one.process.wait(30) == 1, one.log.read_text()
    assert one.wait_for("lease_taken")["by"] == "x"


def test_a_token_that_rotates_is_read_again(
    server: ApiServer, proxy: FaultProxy, namespace: str, tmp_path: Path
) -> None:
    """As a pod has it: a file that the kubelet replaces."""
    (tmp_path / "token").write_text(ADMIN_TOKEN)
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "ca.crt").write_bytes(server.ca_file.read_bytes())
    for made in (
        ("serviceaccount", "rotated"),
        ("role", "reader", "--verb=list", "--resource=pods"),
        ("rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:rotated"),
    ):
        server.kubectl("create", "-n", namespace, *made)
    with pytest.MonkeyPatch.context() as patch:
        host, _, port = proxy.url.removeprefix("https://").partition(":")
        patch.setenv("KUBERNETES_SERVICE_HOST", host)
        patch.setenv("KUBERNETES_SERVICE_PORT", port)
        config = KubeConfig.from_service_account(tmp_path).get()
    assert config is not None
    api = Api(Client(config, ConnectionParams(timeout=httpx.Timeout(10), trust_env=False)), namespace)
    path = f"/api/v1/namespaces/{namespace}/pods"
    api.get(path)
    fresh = server.token(namespace, "rotated")
    (tmp_path / "token").write_text(fresh)
    proxy.reset()
    api.get(path)
    proxy.inject("pods", Answer(401, "Unauthorized"))
    api.get(path)
    assert [one.token == fresh for one in proxy.seen("pods")] == [False, False, True]
    api.close()
