"""The door of a gateway in a thread of this process: its real application, over real TLS, on a port of its own."""

import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from skerry.adapters import pki
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, job_tickets
from skerry.gateway import job_blobs

KEY = b"0123456789abcdef0123456789abcdef"
RUN = "run-1"
NOW_S = 1_790_000_000


class DoorWorld:
    """`blobs` is the gateway's storage with one run going on; `ticket` opens the door for it."""

    def __init__(self, folder: Path, blobs: MemoryBlobs | None = None) -> None:
        self.blobs, self.now_s = blobs or MemoryBlobs(), NOW_S
        if not self.blobs.exists(contract.snapshot_path(RUN)):
            self.blobs.write(contract.snapshot_path(RUN), b"{}")
        self.ca = certificate(folder)
        self.ticket = job_tickets.issue(KEY, RUN, NOW_S + 100)
        self.app: ASGIApp = job_blobs.build(self.blobs, KEY, lambda: self.now_s)
        self.port = 0
        self._folder = folder

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")
        config = uvicorn.Config(self.app, log_config=None, access_log=False, lifespan="off")
        config.load()
        config.ssl = context
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < end, "the door does not open"
            time.sleep(0.01)

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)


def certificate(folder: Path) -> str:
    """Make `tls.crt` and `tls.key` for 127.0.0.1; returns the CA's certificate as PEM."""
    now = datetime.now(UTC)
    ca = pki.make_ca("door", now=now)
    made = pki.make_server_certificate(ca, ["127.0.0.1"], now=now)
    (folder / "tls.crt").write_bytes(made.certificate)
    (folder / "tls.key").write_bytes(made.key)
    return ca.certificate.decode()
