"""The teacher's settings, read from its environment. Nothing else in `teacher` reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import shutdown
from skerry.adapters.environment import DEFAULT_LISTEN, TRANSPORTS, Variables
from skerry.core import errors, urls
from skerry.rpc.methods import Tls


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
    allowlist_url: str = ""
    """SKERRY_MEMBERS: the gateway's page of the nodes that may ask on that listener, `https://host:port/members`; empty
    (the variable says `any`): every holder of a certificate until it ends, revoked or not."""
    allowlist_ca: str = ""
    """SKERRY_MEMBERS_CA: PEM file of the authority of the gateway's certificate; default: SKERRY_CLIENT_CA."""
    http: tuple[str, int] | None = None
    """SKERRY_HTTP: `host:port` of /metrics, /healthz, /readyz; not set: none."""
    transport: str = "h2"
    """SKERRY_TRANSPORT: `h2` (skerry's own) or `grpcio`."""
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
    """SKERRY_LINGER_SECONDS: how long it then tells its callers to go elsewhere, and still serves
    clients that its address brings back, before it accepts no more: as long as its addresses are given out, where
    there is another server."""
    grace_s: float = 20.0
    """SKERRY_GRACE_SECONDS: how long SIGTERM waits for running calls; below the 30 s that Kubernetes gives."""
    log_level: str = "INFO"
    """SKERRY_LOG_LEVEL: the least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""

    @property
    def shutdown(self) -> shutdown.Times:
        return shutdown.Times(self.notice_s, self.linger_s, self.grace_s)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InputError naming the variable."""
    given = Variables(environment)
    tls_listen = given.address("SKERRY_TLS_LISTEN")
    return Settings(
        models=Path(given.required("SKERRY_MODELS", "the folder of models to serve")),
        listen=given.address("SKERRY_LISTEN") or DEFAULT_LISTEN,
        tls_listen=tls_listen,
        tls=_tls(given) if tls_listen else None,
        allowlist_url=_allowlist_url(given) if tls_listen else "",
        allowlist_ca=given.text("SKERRY_MEMBERS_CA") or given.text("SKERRY_CLIENT_CA"),
        http=given.address("SKERRY_HTTP"),
        transport=given.choice("SKERRY_TRANSPORT", TRANSPORTS),
        threads=given.whole("SKERRY_THREADS"),
        provider=given.text("SKERRY_PROVIDER", "cpu"),
        memory_limit_bytes=given.megabytes("SKERRY_MEMORY_LIMIT_MB"),
        notice_s=given.number("SKERRY_NOTICE_SECONDS", 0.0),
        linger_s=given.number("SKERRY_LINGER_SECONDS", 0.0),
        grace_s=given.number("SKERRY_GRACE_SECONDS", 20.0),
        log_level=given.text("SKERRY_LOG_LEVEL", "INFO"),
    )


def _tls(given: Variables) -> Tls:
    names = ("SKERRY_TLS_CERT", "SKERRY_TLS_KEY", "SKERRY_CLIENT_CA")
    if missing := [name for name in names if not given.text(name)]:
        raise errors.InputError(f"SKERRY_TLS_LISTEN needs {', '.join(missing)} beside it")
    certificate, key, client_ca = (given.text(name) for name in names)
    return Tls(certificate, key, client_ca, modern=True)


def _allowlist_url(given: Variables) -> str:
    url = given.text("SKERRY_MEMBERS")
    if url == "any":
        return ""
    if not url.startswith("https://"):
        raise errors.InputError(
            f"SKERRY_TLS_LISTEN needs SKERRY_MEMBERS beside it, not {urls.without_secret(url)!r}: "
            "https://<gateway's jobs door>/members, or `any` to let in revoked nodes, too, until their certificates end"
        )
    return url
