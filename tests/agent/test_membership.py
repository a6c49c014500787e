"""A whole agent joins a fleet with a token: it serves meanwhile, then syncs and fetches with its certificate."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import agent_cascade
import models
import pytest
import valkey
from gateway_tls import Gateway

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.trust import ceremony, store
from skerry.core.inference import InferRequest

NOW = datetime.now(UTC)


class Agent:
    """Started as a site starts it: told where to enrol and a token's file, and no root of the repository."""

    def __init__(self, gateway: Gateway, folder: Path, node: str, token: str) -> None:
        (folder / "token").write_text(token + "\n")
        repository = f"https://{gateway.addresses['http']}/repository"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
            "SKERRY_NODE": node,
            "SKERRY_STATE": str(folder / "state"),
            "SKERRY_ENROL": gateway.addresses["enrol"],
            "SKERRY_JOIN_TOKEN_FILE": str(folder / "token"),
            "SKERRY_GATEWAY": gateway.addresses["listen"],
            "SKERRY_REPOSITORY_URL": repository,
            "SKERRY_LISTEN": "127.0.0.1:0",
            "SKERRY_HTTP": "127.0.0.1:0",
            "SKERRY_BEAT_SECONDS": "0.2",
        }
        self.log_file = folder / "agent.log"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "skerry.agent.main"], env=environment, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())

    def log(self) -> str:
        return self.log_file.read_text()

    def page(self, name: str) -> str:
        with urllib.request.urlopen(f"http://{self.ready['http']}/{name}", timeout=10) as answer:
            return str(answer.read().decode())

    def ask(self, name: str) -> None:
        """A request that the model is unsure of: captured as a hard example."""

        async def call() -> None:
            async with RemoteModel(self.ready["address"]) as remote:
                await remote.infer(
                    InferRequest("digits", (models.tensor([agent_cascade.UNSURE]),), id=name), timeout_s=10
                )

        asyncio.run(call())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    server = valkey.Valkey()
    made = Gateway(tmp_path, server.url)
    repository = ceremony.ensure(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=NOW)
    (made.pki / "root.json").write_bytes((tmp_path / "repository" / "metadata" / "1.root.json").read_bytes())
    slot = agent_cascade.write(tmp_path / "made", 1, scale=1.0, threshold=0.8)
    files = {path.name: path.read_bytes() for path in slot.folder.iterdir()}
    repository.add_version(store.RETRAINED, slot.model, slot.version, slot.digest, files, now=NOW)
    repository.publish(now=NOW)
    made.assignment = {  # type: ignore[attr-defined]
        "model": slot.model, "digest": slot.digest, "version": 1, "targetPath": f"retrained/{slot.model}/1",
        "rollout": "r", "attempt": 1,
    }  # fmt: skip
    made.store.create("EdgeModel", slot.model, {}, manager="operator")
    made.start()
    yield made
    made.stop()
    server.close()


def until(what: str, condition: Callable[[], Any], agent: Agent, timeout_s: float = 40.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"{what}\n{agent.log()[-3000:]}"
        time.sleep(0.05)


def assign(gateway: Gateway, node: str, request: int | None) -> None:
    """The version of the fixture, with a permit for this request or without one."""
    permit = None if request is None else {"number": 1, "ttlMs": 60_000, "request": request, "epoch": 1}
    spec = {"assignments": [gateway.assignment | {"permit": permit}]}  # type: ignore[attr-defined]
    gateway.store.patch("EdgeNode", node, manager="controller", spec=spec)


def target(gateway: Gateway, node: str) -> dict[str, Any]:
    return next(iter(reported(gateway, node).get("models", [])), {"targetState": ""})


def uploaded(folder: Path) -> int:
    return sum(1 for _ in (folder / "blobs" / "examples").glob("digits/*")) if (folder / "blobs").exists() else 0


def reported(gateway: Gateway, node: str) -> dict[str, Any]:
    try:
        return gateway.store.get("EdgeNode", node).status
    except Exception:
        return {}


def test_a_node_joins_fetches_serves_and_uploads_over_tls_and_is_thrown_out_when_it_is_revoked(
    gateway: Gateway, tmp_path: Path
) -> None:
    agent = Agent(gateway, tmp_path, "edge-1", gateway.token("join01", uses=1))
    try:
        until("it reports", lambda: reported(gateway, "edge-1").get("connected"), agent)
        assert reported(gateway, "edge-1")["certNotAfterUnixMs"] > time.time() * 1000
        ends_s = next(line for line in agent.page("metrics").splitlines() if line.startswith("skerry_certificate_ends"))
        assert float(ends_s.split()[1]) > time.time() + 29 * 86_400
        key = tmp_path / "state" / "identity" / "key.pem"
        assert key.stat().st_mode & 0o077 == 0
        assign(gateway, "edge-1", None)
        until("it stages what it fetched", lambda: target(gateway, "edge-1")["targetState"] == "Staged", agent)
        assign(gateway, "edge-1", target(gateway, "edge-1")["permitRequest"])
        until("it serves", lambda: target(gateway, "edge-1")["targetState"] == "Serving", agent)
        agent.ask("hard-1")
        until("its hard example is in the cloud", lambda: uploaded(tmp_path) == 1, agent)
        gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": True})
        until("it is cut off", lambda: not reported(gateway, "edge-1")["connected"], agent)
        until("it says why", lambda: "is revoked" in agent.log(), agent)
        agent.ask("hard-2")
        until("its upload is refused and kept", lambda: "upload_waits" in agent.log(), agent)
        assert uploaded(tmp_path) == 1
        gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": False})
        until("what it kept is there once it is readmitted", lambda: uploaded(tmp_path) == 2, agent, 60)
    finally:
        assert agent.stop() == 0


def test_a_node_that_nobody_lets_in_serves_and_says_what_a_person_must_do(gateway: Gateway, tmp_path: Path) -> None:
    token = gateway.token("join02", uses=1)
    assert gateway.enrol("edge-2", token)[0] == "ENROLLED"  # with the key that it had before it was reset
    agent = Agent(gateway, tmp_path, "edge-2", token)
    try:
        assert agent.ready["event"] == "ready"
        until("it says so", lambda: "skerry nodes approve edge-2" in agent.log(), agent)
        waiting = reported(gateway, "edge-2")["waitingKey"]
        gateway.store.patch("EdgeNode", "edge-2", manager="operator", spec={"approvedKey": waiting})
        until("it comes by itself", lambda: reported(gateway, "edge-2").get("connected"), agent, 60)
    finally:
        assert agent.stop() == 0


@pytest.mark.long
def test_a_certificate_is_renewed_without_a_restart_and_used_at_once(gateway: Gateway, tmp_path: Path) -> None:
    agent = Agent(gateway, tmp_path, "edge-3", gateway.token("join03", uses=1))
    try:
        until("it reports", lambda: reported(gateway, "edge-3").get("connected"), agent)
        first = (tmp_path / "state" / "identity" / "cert.pem").read_bytes()
    finally:
        assert agent.stop() == 0
    terms = tmp_path / "state" / "identity" / "terms.json"
    due = json.loads(terms.read_text()) | {"renewAfterUnixMs": 1, "notAfterUnixMs": int(time.time() * 1000) + 60_000}
    terms.write_text(json.dumps(due))
    (tmp_path / "token").unlink()
    gateway.store.delete("JoinToken", "join03")
    (tmp_path / "token").write_text("gone")
    agent = Agent(gateway, tmp_path, "edge-3", "gone")
    try:
        path = tmp_path / "state" / "identity" / "cert.pem"
        until("it renews", lambda: path.read_bytes() != first, agent)
        ends_s = json.loads(terms.read_text())["notAfterUnixMs"] // 1000

        def shown_s() -> int:
            return int(reported(gateway, "edge-3").get("certNotAfterUnixMs", 0)) // 1000

        until("it reports with it", lambda: shown_s() == ends_s, agent)
        until("it is connected", lambda: reported(gateway, "edge-3").get("connected"), agent)
    finally:
        assert agent.stop() == 0
