"""A gateway process with certificates, a fleet's CA, and whoever may knock at its doors: enrolled, revoked, foreign."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from skerry.adapters import objects, pki
from skerry.agent import enrol
from skerry.core import join_tokens
from skerry.proto import fleet_pb2

FLEET = "/skerry.fleet.v1.Fleet/"
NOW = datetime.now(UTC)


class Gateway:
    """Files of the CA lie in `pki`, objects in SQLite. `addresses` are the doors, once it is started."""

    def __init__(self, folder: Path, redis_url: str, transport: str = "h2") -> None:
        self.folder, self.pki, self.transport = folder, folder / "pki", transport
        self.store = objects.open_objects(f"sqlite://{folder}/objects.db")
        self.ca = pki.make_ca("test fleet", now=NOW)
        server = pki.make_server_certificate(self.ca, ["127.0.0.1", "localhost"], now=NOW)
        self.pki.mkdir(parents=True)
        for name, data in (
            ("ca.crt", self.ca.certificate), ("ca.key", self.ca.key),
            ("tls.crt", server.certificate), ("tls.key", server.key), ("root.json", b"{}"), ("tickets", b"k" * 32),
        ):  # fmt: skip
            (self.pki / name).write_bytes(data)
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "SKERRY_OBJECTS": f"sqlite://{folder}/objects.db",
            "SKERRY_BLOBS": f"file://{folder}/blobs",
            "SKERRY_REDIS_URL": redis_url,
            "SKERRY_REPOSITORY": f"file://{folder}/repository",
            "SKERRY_TRANSPORT": transport,
            "SKERRY_ENROL": "127.0.0.1:0",
            "SKERRY_HEALTH": "127.0.0.1:0",
            "SKERRY_JOBS": "127.0.0.1:0",
            "SKERRY_TICKETS_KEY": str(self.pki / "tickets"),
            "SKERRY_TLS_CERT": str(self.pki / "tls.crt"),
            "SKERRY_TLS_KEY": str(self.pki / "tls.key"),
            "SKERRY_CLIENT_CA": str(self.pki / "ca.crt"),
            "SKERRY_ISSUER": str(self.pki),
            "SKERRY_TRUST_ROOT": str(self.pki / "root.json"),
        }

    def start_in_clear(self, **environment: str) -> None:
        """Without certificates, and without the doors that need them."""
        names = ("TLS_CERT", "TLS_KEY", "CLIENT_CA", "ISSUER", "ENROL", "JOBS", "TICKETS_KEY")
        self.start(**{f"SKERRY_{name}": "" for name in names}, **environment)

    def start(self, *, program: tuple[str, ...] = ("-m", "skerry.gateway.main"), **environment: str) -> None:
        command = [sys.executable, *program]
        self.process = subprocess.Popen(command, env=self._environment | environment, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.addresses = json.loads(self.process.stdout.readline())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def token(self, name: str = "t00001", uses: int = 10, pattern: str = "*", hours: float = 1.0, **labels: str) -> str:
        secret = "s" * 32
        spec = {
            "secretHash": join_tokens.secret_hash(secret),
            "expiresUnixMs": int((time.time() + hours * 3600) * 1000),
            "uses": uses,
            "nodePattern": pattern,
            "labels": labels,
        }
        self.store.create("JoinToken", name, spec, manager="operator")
        return str(join_tokens.Token(name, secret, pki.digest_of_ca(self.pki / "ca.crt")))

    def enrol(self, node: str, token: str, folder: Path | None = None) -> tuple[str, str]:
        """As a node does it: (state, reason)."""
        at = folder or self.folder / "nodes" / node
        return enrol.run(enrol.Job(str(at), node, self.addresses["enrol"], token))

    def identity(self, node: str) -> "Caller":
        return Caller.read(self.folder / "nodes" / node)

    def forge(self, uri: str, *, ca: pki.Pair | None = None, days: float = 1.0, folder: str = "forged") -> "Caller":
        """A certificate with this id, signed by the fleet's CA or another one."""
        at = self.folder / folder
        at.mkdir(exist_ok=True)
        pair = ca or self.ca
        (at / "ca.crt").write_bytes(pair.certificate)
        (at / "ca.key").write_bytes(pair.key)
        key = pki.make_key()
        begin = NOW if days > 0 else NOW - timedelta(days=30)
        made = pki.Authority(at).issue(pki.make_request(key), uri, timedelta(days=abs(days)), now=begin)
        return Caller(self.ca.certificate, key, made)

    # Each door as a caller finds it: the status word, or "OK".

    def sync(self, caller: "Caller", node: str) -> str:
        def call(channel: grpc.Channel) -> None:
            method = channel.stream_stream(FLEET + "Sync", response_deserializer=fleet_pb2.DesiredState.FromString)
            next(iter(method(iter([report(node)]), timeout=10)))

        return _status(call, caller, self.addresses["listen"])

    def upload(self, caller: "Caller", node: str) -> str:
        request = fleet_pb2.UploadRequest(node=node).SerializeToString()
        return _status(
            lambda channel: channel.unary_unary(FLEET + "Upload")(request, timeout=10), caller, self.addresses["listen"]
        )

    def renew(self, caller: "Caller") -> str:
        request = fleet_pb2.RenewRequest(csr=pki.make_request(caller.key)).SerializeToString()
        return _status(
            lambda channel: channel.unary_unary(FLEET + "Renew")(request, timeout=10), caller, self.addresses["listen"]
        )

    def page(self, caller: "Caller | None", path: str, maximum: ssl.TLSVersion | None = None) -> str:
        """The HTTP status of the repository's door, or why there was none."""
        context = ssl.create_default_context(cadata=self.ca.certificate.decode())
        if maximum is not None:
            context.maximum_version = maximum
        if caller is not None:
            caller.load(context, self.folder)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"https://{self.addresses['http']}{path}", timeout=10) as answer:
                return str(answer.status)
        except urllib.error.HTTPError as exc:
            return str(exc.code)
        except OSError as exc:
            return f"refused: {exc}"


def with_three_nodes(folder: Path, redis_url: str, transport: str) -> Gateway:
    """One that runs, with edge-1, edge-2 and edge-3 enrolled, the last one revoked since."""
    made = Gateway(folder, redis_url, transport)
    made.start()
    token = made.token("matrix", uses=3, site="north")
    for node in ("edge-1", "edge-2", "edge-3"):
        assert made.enrol(node, token)[0] == "ENROLLED"
    made.store.patch("EdgeNode", "edge-3", manager="operator", spec={"revoked": True})
    return made


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Caller:
    """A key and a certificate, and the CA that its holder believes."""

    def __init__(self, ca: bytes, key: bytes | None, certificate: bytes | None) -> None:
        self.ca, self.key, self.certificate = ca, key or b"", certificate

    @classmethod
    def read(cls, folder: Path) -> "Caller":
        return cls(*((folder / name).read_bytes() for name in (enrol.CA, enrol.KEY, enrol.CERTIFICATE)))

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca, self.key or None, self.certificate)

    def load(self, context: ssl.SSLContext, folder: Path) -> None:
        file = folder / "caller.pem"
        file.write_bytes((self.certificate or b"") + self.key)
        context.load_cert_chain(file)


def report(node: str, sequence: int = 1) -> bytes:
    made = fleet_pb2.NodeReport(node=node, boot_id="b", sequence=sequence)
    return bytes(made.SerializeToString())


def _status(call: Callable[[grpc.Channel], Any], caller: Caller, address: str) -> str:
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(address, caller.credentials(), options) as channel:
        try:
            call(channel)
        except grpc.RpcError as exc:
            return str(exc.code().name)
    return "OK"
