"""The door of a gateway in a thread of this process: its real application, over real TLS, on a port of its own."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import tickets
from skerry.gateway import door

KEY = b"0123456789abcdef0123456789abcdef"
RUN = "run-1"
NOW_S = 1_790_000_000


class DoorWorld:
    """`blobs` is the gateway's storage with one run going on; `ticket` opens the door for it."""

    def __init__(self, folder: Path, blobs: MemoryBlobs | None = None) -> None:
        self.blobs, self.now_s = blobs or MemoryBlobs(), NOW_S
        if not self.blobs.exists(tickets.snapshot_path(RUN)):
            self.blobs.write(tickets.snapshot_path(RUN), b"{}")
        self.ca = certificate(folder)
        self.ticket = tickets.make(KEY, RUN, NOW_S + 100)
        self.app: ASGIApp = door.build(self.blobs, KEY, lambda: self.now_s)
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
    """Make `tls.crt` and `tls.key` for 127.0.0.1, signed by themselves; returns the certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem.decode()
