"""What the plain OIP server (the teacher) is told by its environment. Nobody else in `serving` reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors
from skerry.rpc.methods import Tls
from skerry.serving import ending

_TRANSPORTS = ("h2", "grpcio")


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen value per process."""

    models: Path
    """SKERRY_MODELS: folder `<model>/<version>/{manifest.json, …}`; the latest version of each is served."""
    listen: tuple[str, int]
    """SKERRY_LISTEN: `host:port` of the gRPC listener; port 0 takes any, the ready line says which."""
    tls_listen: tuple[str, int] | None = None
    """SKERRY_TLS_LISTEN: `host:port` of a second gRPC listener, TLS 1.3 for holders of a certificate of the fleet; not
    set: none."""
    tls: Tls | None = None
    """SKERRY_TLS_CERT, SKERRY_TLS_KEY, SKERRY_CLIENT_CA: PEM files of the certificate and of the nodes' CA."""
    members: str = ""
    """SKERRY_MEMBERS: where the gateway tells which nodes may ask on that listener, `https://host:port/members`; empty
    (the variable says `any`): every holder of a certificate until it ends, revoked or not."""
    members_ca: str = ""
    """SKERRY_MEMBERS_CA: PEM file of the authority of the gateway's certificate; default: SKERRY_CLIENT_CA."""
    http: tuple[str, int] | None = None
    """SKERRY_HTTP: `host:port` of /metrics, /healthz, /readyz; not set: none."""
    transport: str = "h2"
    """SKERRY_TRANSPORT: h2 (our own) or grpcio."""
    threads: int = 0
    """SKERRY_THREADS: CPUs that slow models may use; 0: from the cgroup's quota and the affinity."""
    provider: str = "cpu"
    """SKERRY_PROVIDER: ONNX Runtime's execution provider."""
    memory_limit_bytes: int = 0
    """SKERRY_MEMORY_LIMIT_MB: a version that would likely go above it is not loaded; 0: no limit."""
    notice_s: float = 0.0
    """SKERRY_NOTICE_SECONDS: how long it goes on accepting after it said that it is not ready: as long as those who
    send to it need to learn that. 0 where a preStop hook waits instead."""
    linger_s: float = 0.0
    """SKERRY_LINGER_SECONDS: how long it then tells its callers to go elsewhere, and still serves whoever its address
    brings back, before it accepts no more: as long as addresses of it are given out, where another one is there."""
    grace_s: float = 20.0
    """SKERRY_GRACE_SECONDS: how long SIGTERM waits for running calls; below the 30 s that Kubernetes gives."""
    log_level: str = "INFO"
    """SKERRY_LOG_LEVEL"""

    @property
    def ending(self) -> ending.Times:
        return ending.Times(self.notice_s, self.linger_s, self.grace_s)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InputError naming the variable."""
    if not environment.get("SKERRY_MODELS"):
        raise errors.InputError("SKERRY_MODELS is not set: the folder of models to serve")
    http, tls_listen = environment.get("SKERRY_HTTP", ""), environment.get("SKERRY_TLS_LISTEN", "")
    transport = environment.get("SKERRY_TRANSPORT") or "h2"
    if transport not in _TRANSPORTS:
        raise errors.InputError(f"SKERRY_TRANSPORT must be one of {', '.join(_TRANSPORTS)}, not {transport!r}")
    return Settings(
        models=Path(environment["SKERRY_MODELS"]),
        listen=address("SKERRY_LISTEN", environment.get("SKERRY_LISTEN") or "127.0.0.1:8001"),
        tls_listen=address("SKERRY_TLS_LISTEN", tls_listen) if tls_listen else None,
        tls=_tls(environment) if tls_listen else None,
        members=_members(environment) if tls_listen else "",
        members_ca=environment.get("SKERRY_MEMBERS_CA") or environment.get("SKERRY_CLIENT_CA", ""),
        http=address("SKERRY_HTTP", http) if http else None,
        transport=transport,
        threads=_whole("SKERRY_THREADS", environment),
        provider=environment.get("SKERRY_PROVIDER") or "cpu",
        memory_limit_bytes=_whole("SKERRY_MEMORY_LIMIT_MB", environment) << 20,
        notice_s=float(_whole("SKERRY_NOTICE_SECONDS", environment)),
        linger_s=float(_whole("SKERRY_LINGER_SECONDS", environment)),
        grace_s=float(_whole("SKERRY_GRACE_SECONDS", environment, 20)),
        log_level=environment.get("SKERRY_LOG_LEVEL") or "INFO",
    )


def _tls(environment: Mapping[str, str]) -> Tls:
    names = ("SKERRY_TLS_CERT", "SKERRY_TLS_KEY", "SKERRY_CLIENT_CA")
    if missing := [name for name in names if not environment.get(name)]:
        raise errors.InputError(f"SKERRY_TLS_LISTEN needs {', '.join(missing)} beside it")
    certificate, key, client_ca = (environment[name] for name in names)
    return Tls(certificate, key, client_ca, modern=True)


def _members(environment: Mapping[str, str]) -> str:
    found = environment.get("SKERRY_MEMBERS", "")
    if found == "any":
        return ""
    if not found.startswith("https://"):
        raise errors.InputError(
            f"SKERRY_TLS_LISTEN needs SKERRY_MEMBERS beside it, not {found!r}: https://<gateway's jobs door>/members"
            ", or `any` to let in revoked nodes, too, until their certificates end"
        )
    return found


def address(name: str, text: str) -> tuple[str, int]:
    """`host:port`. Raises InputError naming the variable."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise errors.InputError(f"{name} must be host:port, not {text!r}")
    return host.strip("[]"), int(port)


def _whole(name: str, environment: Mapping[str, str], default: int = 0) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise errors.InputError(f"{name} must be a whole number, not {text!r}")
    return int(text)
