"""The control plane of the simulation: an API server or SQLite, Valkey, controller, two gateways, curator, teacher.

All are real processes, started as the one-machine system starts its own, and as charts set them: certificates, a
mark of 20 s.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.scale import versions
from skerry.adapters import blobs, files, objects, pki
from skerry.cli import system_file
from skerry.cli.system import process_specs, supervisor
from skerry.cli.system.layout import Layout
from skerry.cli.system.process import Process, wait_ready
from skerry.core import errors, writers

GATEWAYS = ("gateway-1", "gateway-2")
MARK_S = 20
MAX_UNAVAILABLE_PERCENT = 10
_READY_S = 600.0  # patience, where everything is busy: no pace is asserted
_TESTS = Path(__file__).parents[2] / "tests"


class Plane:
    """`folder` is its state folder. `namespace` empty: objects are in SQLite there, else in the API server that
    KUBECONFIG names."""

    def __init__(self, folder: Path, namespace: str, server_pids: Mapping[str, int]) -> None:
        self.layout, self.namespace = Layout(folder), namespace
        self.objects_url = f"kubernetes://{namespace}" if namespace else self.layout.objects_url
        self.processes: dict[str, Process] = {}
        self.revived: list[str] = []  # with the last line of its log
        self._held: set[str] = set()
        self._server_pids = dict(server_pids)
        ports = supervisor.free_ports(9)
        self._ports = process_specs.Ports(ports[0], ports[1], ports[2], ports[3], ports[4], {})
        self.listen = {name: f"127.0.0.1:{port}" for name, port in zip(GATEWAYS, (ports[0], ports[5]), strict=True)}
        self._http = {name: f"127.0.0.1:{port}" for name, port in zip(GATEWAYS, (ports[1], ports[6]), strict=True)}
        self.enrol = {name: f"127.0.0.1:{port}" for name, port in zip(GATEWAYS, ports[7:9], strict=True)}
        self._pki = folder / "pki"

    @property
    def repository_url(self) -> str:
        return f"https://{self._http[GATEWAYS[0]]}/repository"

    def start(self, soak_s: int, nodes: int) -> None:
        """Everything, and the objects that the fleet needs. Raises UnavailableError."""
        self.layout.make()
        self._make_certificates()
        versions.write_teacher(self.layout.teacher_models)
        self._table = self._parts()
        self._spawn("valkey")
        self._wait_valkey()
        self.restart("controller")
        root = blobs.open_shared(self.layout.repository_url).read("metadata/1.root.json", max_bytes=1 << 20)
        files.write(self.layout.trust_root, root)
        self.restart("teacher", *GATEWAYS, "curator")
        self._describe()
        self.objects = objects.open_objects(self.objects_url)
        fleet = {"selector": {}, "maxUnavailable": f"{MAX_UNAVAILABLE_PERCENT}%", "offlineAfterSeconds": 60}
        self.objects.create("EdgeFleet", "all", fleet, manager=writers.OPERATOR)
        self.objects.create("EdgeModel", versions.MODEL, versions.edge_model(soak_s, nodes), manager=writers.OPERATOR)

    def restart(self, *names: str) -> None:
        """Start these and wait until they are ready."""
        for name in names:
            self._spawn(name)
        for name in names:
            wait_ready(self.processes[name], _READY_S)

    def kill(self, name: str) -> None:
        """As a power cut would; it stays down until `restart`."""
        self._held.add(name)
        self.processes[name].kill()

    def revive(self) -> Mapping[str, int]:
        """Start again what has ended by itself, as a supervisor does; the pids of those."""
        ended = [name for name, process in self.processes.items() if not process.alive and name not in self._held]
        for name in ended:
            self.revived.append(f"{name}: {self.processes[name].last_words(1)[:300]}")
            self._spawn(name)
        return {name: self.processes[name].pid for name in ended}

    def stop(self) -> None:
        for name in ("curator", "teacher", *GATEWAYS, "controller", "valkey"):
            if name in self.processes:
                self.processes[name].stop(20.0)

    def pids(self) -> Mapping[str, int]:
        """Of what runs now."""
        own = {name: process.pid for name, process in self.processes.items() if process.alive}
        return {**self._server_pids, **own}

    def skerry(self, *words: str) -> str:
        """What a `skerry` command says. Raises UnavailableError."""
        done = subprocess.run(
            [sys.executable, "-m", "skerry.cli.main", *words], capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, "SKERRY_STATE_DIR": str(self.layout.root)},
        )  # fmt: skip
        if done.returncode:
            raise errors.UnavailableError(f"skerry {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def token(self, uses: int) -> str:
        ca = str(self._pki / "ca.crt")
        return self.skerry("nodes", "token", "create", "--uses", str(uses), "--hours", "24", "--ca", ca).strip()

    def import_version(self, scale: float) -> str:
        """Import a version; returns its digest."""
        words = versions.write_import(self.layout.root / "imports" / str(scale), scale)
        answer: dict[str, Any] = json.loads(self.skerry(*words, "--json"))
        name = str(answer["version"]) if str(answer.get("version", "")).startswith(versions.MODEL) else ""
        found = [one for one in self.objects.list("ModelVersion") if not name or one.name == name]
        return str(max(found, key=lambda one: int(one.spec["version"])).spec["digest"])

    def _parts(self) -> Mapping[str, process_specs.ProcessSpec]:
        parts = {part.name: part for part in process_specs.cloud(self.layout, self._ports, "h2")}
        gateway = parts.pop("gateway")
        parts.pop("dashboard")
        for name in GATEWAYS:
            environment = {**gateway.environment, **self._of_gateway(name)}
            parts[name] = process_specs.ProcessSpec(name, gateway.command, environment)
        for name, part in parts.items():
            if "SKERRY_OBJECTS" in part.environment:
                parts[name] = replace(part, environment={**part.environment, "SKERRY_OBJECTS": self.objects_url})
        return {"valkey": process_specs.valkey(self.layout), **parts}

    def _of_gateway(self, name: str) -> Mapping[str, str]:
        at = self._pki
        return {
            "SKERRY_LISTEN": self.listen[name],
            "SKERRY_HTTP": self._http[name],
            "SKERRY_ENROL": self.enrol[name],
            "SKERRY_TLS_CERT": str(at / "tls.crt"),
            "SKERRY_TLS_KEY": str(at / "tls.key"),
            "SKERRY_CLIENT_CA": str(at / "ca.crt"),
            "SKERRY_ISSUER": str(at),
            "SKERRY_TRUST_ROOT": str(self.layout.trust_root),
            "SKERRY_MARK_SECONDS": str(MARK_S),
        }

    def _make_certificates(self) -> None:
        self._pki.mkdir(exist_ok=True)
        now = datetime.now(UTC)
        ca = pki.make_ca("scale", now=now)
        server = pki.make_server_certificate(ca, ["127.0.0.1"], now=now)
        for name, data in (
            ("ca.crt", ca.certificate), ("ca.key", ca.key), ("tls.crt", server.certificate), ("tls.key", server.key),
        ):  # fmt: skip
            files.write(self._pki / name, data, mode=0o600)

    def _spawn(self, name: str) -> None:
        self._held.discard(name)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
        self.processes[name] = Process(self._table[name], self.layout.log(name), inherited)

    def _wait_valkey(self) -> None:
        end = time.monotonic() + _READY_S
        while not self.layout.socket.exists():
            if time.monotonic() > end or not self.processes["valkey"].alive:
                raise errors.UnavailableError(f"Valkey did not start: {self.processes['valkey'].last_words()}")
            time.sleep(0.05)

    def _describe(self) -> None:
        layout = self.layout
        described = system_file.Description(
            objects=self.objects_url, blobs=layout.blobs_url, redis=layout.redis_url, repository=layout.repository_url,
            keys=str(layout.keys), gateway=self.listen[GATEWAYS[0]], teacher=f"127.0.0.1:{self._ports.teacher}",
            dashboard="127.0.0.1:1", agents=(),
        )  # fmt: skip
        system_file.write(layout.root, described)


@contextlib.contextmanager
def running(folder: Path, *, nodes: int, soak_s: int, sqlite: bool) -> Iterator[Plane]:
    """On an API server of its own where KUBEBUILDER_ASSETS has one (unless `sqlite`), else on SQLite."""
    with contextlib.ExitStack() as stack:
        namespace, pids = "", {}
        if not sqlite and has_apiserver():
            sys.path.append(str(_TESTS))  # the server is started as the tests do it
            import apiserver_process
            import custom_resources

            server = stack.enter_context(apiserver_process.running())
            apiserver_process.apply_crds(server, custom_resources.CRDS)
            namespace = server.namespace()
            os.environ["KUBECONFIG"] = str(server.kubeconfig)
            pids = {"etcd": server._etcd.pid, "kube-apiserver": server._server.pid}
        plane = Plane(folder, namespace, pids)
        stack.callback(plane.stop)
        plane.start(soak_s, nodes)
        yield plane


def has_apiserver() -> bool:
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    return bool(assets) and all((Path(assets) / name).exists() for name in ("etcd", "kube-apiserver", "kubectl"))
