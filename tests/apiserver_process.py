"""A real kube-apiserver and etcd for tests, as envtest starts them: from KUBEBUILDER_ASSETS, RBAC on, no nodes.

Nothing runs there and no controller fills anything in: what a test sees is what it wrote, validated by the real thing.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import require
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nonexistent"))
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
ADMIN_TOKEN = "test-admin"
requires_apiserver = require.requires(
    "apiserver",
    all((ASSETS / name).exists() for name in PROGRAMS),
    "KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and kubectl (setup-envtest makes one)",
)
_START_S = 90.0


class ApiServer:
    """`url` and `ca_file` say where it is; `kubeconfig` is its administrator's. `kill` and `start` keep the data."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kas-"))
        self.port, self._etcd_port, self._peer_port = _free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca_file = self.folder / "ca.crt"
        self.kubeconfig = self.folder / "kubeconfig"
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        _write_keys(self.folder)
        (self.folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(kubeconfig(self.url, self.ca_file, ADMIN_TOKEN))
        self.start()

    def start(self) -> None:
        """Start what is not running, and wait until the API answers."""
        if self._etcd is None:
            self._etcd = self._spawn("etcd", self._etcd_arguments())
        if self._server is None:
            self._server = self._spawn("kube-apiserver", self._server_arguments())
        end = time.monotonic() + _START_S
        while not self._is_ready():
            assert self._server.poll() is None, self._log("kube-apiserver")
            assert time.monotonic() < end, self._log("kube-apiserver")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the API server as a power cut would; etcd goes on."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def save(self) -> Path:
        """Stop everything, copy etcd's data, go on. Returns the copy."""
        self._stop()
        copy = Path(tempfile.mkdtemp(prefix="etcd-", dir=self.folder)) / "etcd"
        shutil.copytree(self.folder / "etcd", copy)
        self.start()
        return copy

    def restore(self, copy: Path) -> None:
        """Go on from an older state, as after a disaster."""
        self._stop()
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(copy, self.folder / "etcd")
        self.start()

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Run kubectl as the administrator; returns what it printed, its errors too unless `check` fails the test."""
        done = subprocess.run(
            [str(ASSETS / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def namespace(self) -> str:
        """A new, empty namespace."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        with self._open("/api/v1/namespaces", json.dumps(body).encode()):
            return name

    def token(self, namespace: str, service_account: str) -> str:
        """A bearer token of a service account that exists."""
        return self.kubectl("create", "token", "-n", namespace, service_account).strip()

    def close(self) -> None:
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self) -> None:
        self.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()
            self._etcd = None

    def _spawn(self, program: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.log").open("ab") as log:
            command = [str(ASSETS / program), *arguments]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def _etcd_arguments(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}", "--unsafe-no-fsync", "--log-level=error",
        ]  # fmt: skip

    def _server_arguments(self) -> list[str]:
        at = self.folder
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.port}", f"--cert-dir={at}",
            f"--tls-cert-file={at / 'server.crt'}", f"--tls-private-key-file={at / 'server.key'}",
            f"--token-auth-file={at / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={at / 'sa.pub'}",
            f"--service-account-signing-key-file={at / 'sa.key'}", "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true", "--profiling=false", "--watch-cache=true",
            # Without a controller-manager nobody makes the default service accounts that this admission waits for.
            "--disable-admission-plugins=ServiceAccount",
        ]  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            with self._open("/readyz") as answer:
                return bool(answer.read() == b"ok")
        except urllib.error.HTTPError as exc:
            exc.close()
        except OSError:
            pass
        return False

    def _open(self, path: str, body: bytes | None = None) -> Any:
        context = ssl.create_default_context(cafile=self.ca_file)
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        return opener.open(urllib.request.Request(f"{self.url}{path}", body, headers), timeout=5)

    def _log(self, program: str) -> str:
        return (self.folder / f"{program}.log").read_text(errors="replace")[-3000:]


@contextlib.contextmanager
def running() -> Iterator[ApiServer]:
    """An API server for the length of the block."""
    server = ApiServer()
    try:
        yield server
    finally:
        server.close()


def apply_crds(server: ApiServer, folder: Path) -> None:
    """Our definitions as the files of a folder have them; returns when every kind can be read and written."""
    server.kubectl("apply", "-f", str(folder))
    server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    end = time.monotonic() + _START_S
    while "initializing" in (said := server.kubectl("get", "skerry", "-A", check=False)):
        assert time.monotonic() < end, said


def kubeconfig(url: str, ca_file: Path, token: str, namespace: str = "default") -> str:
    """The text of a kubeconfig (JSON is YAML) for a server, its CA and a bearer token."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        }
    )


def _write_keys(folder: Path) -> None:
    """A CA, the server's certificate for 127.0.0.1, and the key that signs service account tokens."""
    certificates.Authority(folder, suffix=".crt").issue("server")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = serialization.Encoding.PEM
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "sa.key").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sa.pub").write_bytes(public)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
