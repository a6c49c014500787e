"""What the gateway is told by its environment. Nothing else in the gateway reads it."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from skerry.adapters import service_settings


class Settings(service_settings.ServiceSettings):
    """Variables named `SKERRY_<FIELD>`."""

    objects: str
    """`sqlite:///path/objects.db`: nodes, their assignments and the models' offload policies."""

    blobs: str
    """URL of the blob root: examples and truths are written there before anything is acknowledged."""

    redis_url: str
    """Live readings and the curator's stream. May be down: readings are then lost, and the curator's scan finds the
    examples."""

    repository: str
    """URL of the model repository (`metadata/`, `targets/`), served as it is."""

    listen: str = "127.0.0.1:0"
    """`host:port` of the gRPC listener; port 0: any."""

    http: str = "127.0.0.1:0"
    """`host:port` of the HTTP listener: the repository, health and metrics; port 0: any."""

    health: str = ""
    """`host:port` of a plain HTTP listener for /healthz, /readyz and /metrics; empty: they are on `http`."""

    enrol: str = ""
    """`host:port` of the gRPC listener where nodes enrol; empty: none."""

    jobs: str = ""
    """`host:port` of the HTTPS listener where training jobs reach their blobs; empty: none."""

    tls_cert: str = ""
    """File of the server's certificate and its chain (PEM); with `tls_key` and `client_ca` nodes must show theirs."""

    tls_key: str = ""
    """File of the private key of `tls_cert` (PEM)."""

    client_ca: str = ""
    """File of the CA that nodes' certificates are signed by."""

    issuer: Path | None = None
    """Folder of the CA that signs nodes' certificates (`ca.crt`, `ca.key`)."""

    trust_domain: str = "skerry.local"
    """First part of every node's identity, `spiffe://<trust domain>/tenant/<tenant>/node/<name>`; it cannot change
    while nodes have certificates."""

    tenant: str = "default"
    """Second part of every node's identity: whose nodes these are."""

    trust_root: Path | None = None
    """File of the repository's root metadata, given to nodes that enrol."""

    certificate_days: float = Field(default=30.0, gt=0, le=3650)
    """How long a node's certificate is good; it is renewed at half of that."""

    tickets_key: Path | None = None
    """File of the key of training jobs' tickets; needed with `jobs`."""

    insecure: bool = False
    """Listen beyond loopback without certificates: for a network that is trusted otherwise."""

    transport: Literal["h2", "grpcio"] = "h2"
    """`h2`: skerry's own gRPC transport; `grpcio`: the reference implementation, to compare with."""

    report_timeout_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """A node that sends no report for so long is hung up on: its stream is dead, whatever the network says."""

    upload_records_per_second: int = Field(default=200, ge=1, le=100_000)
    """Examples and truths that this process takes of one node, on average; ten times as many at once. A node keeps what
    is beyond and sends it later. Where nodes have no certificates a node is who it says it is."""

    upload_bytes_per_second: int = Field(default=1 << 20, ge=4096, le=1 << 30)
    """Bytes that this process takes of one node, on average; sixteen times as many at once."""

    notice_seconds: float = Field(default=0.0, ge=0, le=600)
    """How long it goes on accepting after it said that it is not ready: as long as those who send to it need to learn
    that. 0 where a preStop hook waits instead."""

    mark_seconds: int = Field(default=5, ge=1, le=600)
    """How often the object of a connected node that says nothing new is marked as seen: every mark is a write."""

    drain_seconds: float = Field(default=5.0, ge=0, le=600)
    """Longest time that running calls get after SIGTERM."""

    log_level: str = "INFO"
    """The least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    return service_settings.read(Settings, "gateway")
