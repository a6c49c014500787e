"""What the plain OIP server (the teacher) is told by its environment. Nobody else in `serving` reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors

_TRANSPORTS = ("h2", "grpcio")


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen value per process."""

    models: Path
    """SKERRY_MODELS: folder `<model>/<version>/{manifest.json, …}`; the latest version of each is served."""
    listen: tuple[str, int]
    """SKERRY_LISTEN: `host:port` of the gRPC listener; port 0 takes any, the ready line says which."""
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
    grace_s: float = 20.0
    """SKERRY_GRACE_SECONDS: how long SIGTERM waits for running calls; below the 30 s that Kubernetes gives."""
    log_level: str = "INFO"
    """SKERRY_LOG_LEVEL"""


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InputError naming the variable."""
    if not environment.get("SKERRY_MODELS"):
        raise errors.InputError("SKERRY_MODELS is not set: the folder of models to serve")
    http = environment.get("SKERRY_HTTP", "")
    transport = environment.get("SKERRY_TRANSPORT") or "h2"
    if transport not in _TRANSPORTS:
        raise errors.InputError(f"SKERRY_TRANSPORT must be one of {', '.join(_TRANSPORTS)}, not {transport!r}")
    return Settings(
        models=Path(environment["SKERRY_MODELS"]),
        listen=address("SKERRY_LISTEN", environment.get("SKERRY_LISTEN") or "127.0.0.1:8001"),
        http=address("SKERRY_HTTP", http) if http else None,
        transport=transport,
        threads=_whole("SKERRY_THREADS", environment),
        provider=environment.get("SKERRY_PROVIDER") or "cpu",
        memory_limit_bytes=_whole("SKERRY_MEMORY_LIMIT_MB", environment) << 20,
        grace_s=float(_whole("SKERRY_GRACE_SECONDS", environment, 20)),
        log_level=environment.get("SKERRY_LOG_LEVEL") or "INFO",
    )


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
