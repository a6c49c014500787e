"""What the agent is told by its environment. Nobody else in `agent` reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import files
from skerry.core import errors
from skerry.serving import ending
from skerry.serving import settings as serving_settings

_TRANSPORTS = ("h2", "grpcio")


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen value per process."""

    node: str
    """SKERRY_NODE: the node's name."""
    state: Path
    """SKERRY_STATE: folder of versions, ledger, spool and trusted metadata; of two agents on it one stands by."""
    trust_root: Path
    """SKERRY_TRUST_ROOT: file of the root metadata that this node was given when it was set up. A node that enrols may
    go without one: it is given it then."""
    gateway: str
    """SKERRY_GATEWAY: `host:port`."""
    repository_url: str
    """SKERRY_REPOSITORY_URL: where the model repository is served, e.g. `http://host:port/repository`."""
    listen: tuple[str, int]
    """SKERRY_LISTEN: `host:port` of the gRPC listener; port 0 takes any, the ready line says which."""
    enrol: str = ""
    """SKERRY_ENROL: `host:port` where this node gets its certificate; not set: the cloud is spoken to in clear."""
    join_token_file: Path | None = None
    """SKERRY_JOIN_TOKEN_FILE: file of the join token; needed until the node has its certificate."""
    teacher: str = ""
    """SKERRY_TEACHER: `host:port` of an OIP v2 server with the larger model; not set: nothing is offloaded."""
    http: tuple[str, int] | None = None
    """SKERRY_HTTP: `host:port` of /metrics, /healthz, /readyz; not set: none."""
    transport: str = "h2"
    """SKERRY_TRANSPORT: h2 (our own) or grpcio."""
    address: str = ""
    """SKERRY_ADDRESS: where clients reach this node, shown to people; not set: the listener's address."""
    beat_s: float = 1.0
    """SKERRY_BEAT_SECONDS: how often the node reports when nothing changes; 10 and more on thin links."""
    spool_bytes: int = 64 << 20
    """SKERRY_SPOOL_MB: bound of captured examples on disk; the oldest unsent are dropped beyond it."""
    models_bytes: int = 1 << 30
    """SKERRY_MODELS_MB: bound of all versions on disk."""
    memory_limit_bytes: int = 0
    """SKERRY_MEMORY_LIMIT_MB: a version that would likely go above it is not loaded; 0: no limit."""
    fetch_timeout_s: float = 300.0
    """SKERRY_FETCH_TIMEOUT_SECONDS: longest time to fetch, verify and try one version."""
    fetch_memory_bytes: int = 2 << 30
    """SKERRY_FETCH_MEMORY_MB: address space of the process that tries a version; 0: no limit."""
    threads: int = 0
    """SKERRY_THREADS: CPUs that slow models may use; 0: from the cgroup's quota and the affinity."""
    provider: str = "cpu"
    """SKERRY_PROVIDER: ONNX Runtime's execution provider."""
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

    @property
    def identity(self) -> Path:
        """Where the node's certificate lies."""
        return self.state / "identity"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InputError naming the variable."""
    http, transport = environment.get("SKERRY_HTTP", ""), environment.get("SKERRY_TRANSPORT") or "h2"
    if transport not in _TRANSPORTS:
        raise errors.InputError(f"SKERRY_TRANSPORT must be one of {', '.join(_TRANSPORTS)}, not {transport!r}")
    listen = environment.get("SKERRY_LISTEN") or "127.0.0.1:8001"
    node = files.check_name(_required("SKERRY_NODE", environment, "the node's name"), "SKERRY_NODE")
    state = Path(_required("SKERRY_STATE", environment, "the folder that this agent keeps"))
    enrol = _address("SKERRY_ENROL", environment.get("SKERRY_ENROL", ""))
    token_file = environment.get("SKERRY_JOIN_TOKEN_FILE", "")
    return Settings(
        node=node,
        state=state,
        trust_root=_trust_root(environment, state, enrol),
        enrol=enrol,
        join_token_file=Path(token_file) if token_file else None,
        gateway=_address("SKERRY_GATEWAY", _required("SKERRY_GATEWAY", environment, "host:port of the gateway")),
        repository_url=_required("SKERRY_REPOSITORY_URL", environment, "the URL of the model repository"),
        listen=serving_settings.address("SKERRY_LISTEN", listen),
        teacher=_address("SKERRY_TEACHER", environment.get("SKERRY_TEACHER", "")),
        http=serving_settings.address("SKERRY_HTTP", http) if http else None,
        transport=transport,
        address=environment.get("SKERRY_ADDRESS", ""),
        beat_s=_number("SKERRY_BEAT_SECONDS", environment, 1.0, low=0.05),
        spool_bytes=int(_number("SKERRY_SPOOL_MB", environment, 64, low=1)) << 20,
        models_bytes=int(_number("SKERRY_MODELS_MB", environment, 1024, low=1)) << 20,
        memory_limit_bytes=int(_number("SKERRY_MEMORY_LIMIT_MB", environment, 0)) << 20,
        fetch_timeout_s=_number("SKERRY_FETCH_TIMEOUT_SECONDS", environment, 300.0, low=1),
        fetch_memory_bytes=int(_number("SKERRY_FETCH_MEMORY_MB", environment, 2048)) << 20,
        threads=int(_number("SKERRY_THREADS", environment, 0)),
        provider=environment.get("SKERRY_PROVIDER") or "cpu",
        notice_s=_number("SKERRY_NOTICE_SECONDS", environment, 0.0),
        linger_s=_number("SKERRY_LINGER_SECONDS", environment, 0.0),
        grace_s=_number("SKERRY_GRACE_SECONDS", environment, 20.0),
        log_level=environment.get("SKERRY_LOG_LEVEL") or "INFO",
    )


def _trust_root(environment: Mapping[str, str], state: Path, enrol: str) -> Path:
    if enrol and not environment.get("SKERRY_TRUST_ROOT"):
        return state / "identity" / "root.json"
    return Path(_required("SKERRY_TRUST_ROOT", environment, "the file of the trusted root metadata"))


def _required(name: str, environment: Mapping[str, str], what: str) -> str:
    if not environment.get(name):
        raise errors.InputError(f"{name} is not set: {what}")
    return environment[name]


def _address(name: str, text: str) -> str:
    if text:
        serving_settings.address(name, text)
    return text


def _number(name: str, environment: Mapping[str, str], default: float, *, low: float = 0.0) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value < 1e9:  # also false for NaN
        raise errors.InputError(f"{name} must be a number of at least {low:g}, not {text!r}")
    return value
