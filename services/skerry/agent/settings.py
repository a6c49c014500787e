"""The agent's settings, read from its environment. Nothing else in `agent` reads it."""

import os
import pwd
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import shutdown
from skerry.adapters.environment import DEFAULT_LISTEN, TRANSPORTS, Variables
from skerry.core import addresses, errors, names
from skerry.core.feedback import Proof, parse_proofs
from skerry.rpc import unix_sockets
from skerry.rpc.methods import Tls
from skerry.rpc.unix_sockets import UnixAddress


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen value per process."""

    node: str
    """SKERRY_NODE: the node's name: lower-case letters, digits, '-' and '.', as in Kubernetes."""
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
    feedback: str = Proof.TOKEN.value
    """SKERRY_FEEDBACK: what a caller must show to tell the truth of an earlier request: `Token` (the one that came with
    its answer), `Secret` (the site's), `Certificate` (a client certificate on SKERRY_TLS_LISTEN); several separated by
    commas: any of them; `Off`: no truths are taken."""
    feedback_token_s: int = 31 * 86_400
    """SKERRY_FEEDBACK_TOKEN_SECONDS: how long after its answer a token is good; of a forecast at least for its horizon
    and a day."""
    feedback_secret_file: Path | None = None
    """SKERRY_FEEDBACK_SECRET_FILE: file of the site's secret, at least 16 characters; read at the start."""
    subject_key_file: Path | None = None
    """SKERRY_SUBJECT_KEY: file of the key by which `skerry_subject` is hashed, 64 hex digits, the same on all agents
    and where `skerry erase --subject` runs; not set: nothing of a named subject is captured."""
    unix_listen: UnixAddress | None = None
    """SKERRY_UNIX_LISTEN, SKERRY_UNIX_MODE, SKERRY_UNIX_USERS: `unix:///path` of a gRPC listener in clear for processes
    of this machine, at most 107 bytes; the mode of its file (octal, not set: `0660`); numbers or names of the users who
    are let in, separated by commas (not set: whoever the mode lets)."""
    tls_listen: tuple[str, int] | None = None
    """SKERRY_TLS_LISTEN: `host:port` of a second gRPC listener, TLS 1.3 for holders of a certificate of the authority
    SKERRY_CLIENT_CA; not set: none."""
    tls: Tls | None = None
    """SKERRY_TLS_CERT, SKERRY_TLS_KEY, SKERRY_CLIENT_CA: PEM files of this listener's certificate and of the authority
    of its clients: one of the site's own, for whoever it lets in may tell truths where `Certificate` is asked for."""
    http: tuple[str, int] | None = None
    """SKERRY_HTTP: `host:port` of /metrics, /healthz, /readyz; not set: none."""
    transport: str = "h2"
    """SKERRY_TRANSPORT: `h2` (skerry's own) or `grpcio`."""
    address: str = ""
    """SKERRY_ADDRESS: where clients reach this node, shown to people; not set: the listener's address, and where that
    is every interface the address of the one that leads to the gateway."""
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
    """SKERRY_LINGER_SECONDS: how long it then tells its callers to go elsewhere, and still serves
    clients that its address brings back, before it accepts no more: as long as its addresses are given out, where
    there is another server."""
    grace_s: float = 20.0
    """SKERRY_GRACE_SECONDS: how long SIGTERM waits for running calls; below the 30 s that Kubernetes gives."""
    privacy: Path | None = None
    """SKERRY_PRIVACY: YAML file of what this node asks of its privacy, whatever the cloud asks: by model, and `"*"` for
    all others. An agent whose file cannot be read, or is not right, does not start; not set: no floor."""
    log_level: str = "INFO"
    """SKERRY_LOG_LEVEL: the least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""

    @property
    def shutdown(self) -> shutdown.Times:
        return shutdown.Times(self.notice_s, self.linger_s, self.grace_s)

    @property
    def proofs(self) -> Collection[Proof]:
        """What lets a caller tell a truth; empty: nothing does."""
        return parse_proofs(self.feedback)

    @property
    def identity(self) -> Path:
        """Where the node's certificate lies."""
        return self.state / "identity"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InputError naming the variable."""
    given = Variables(environment)
    node = _node_name(given.required("SKERRY_NODE", "the node's name"))
    state = Path(given.required("SKERRY_STATE", "the folder that this agent keeps"))
    enrol = given.address_text("SKERRY_ENROL")
    privacy = given.text("SKERRY_PRIVACY")
    token_file, secret_file = given.text("SKERRY_JOIN_TOKEN_FILE"), given.text("SKERRY_FEEDBACK_SECRET_FILE")
    tls_listen = given.address("SKERRY_TLS_LISTEN")
    return Settings(
        node=node,
        state=state,
        trust_root=_trust_root(given, state, enrol),
        enrol=enrol,
        join_token_file=Path(token_file) if token_file else None,
        gateway=given.address_text("SKERRY_GATEWAY") or given.required("SKERRY_GATEWAY", "host:port of the gateway"),
        repository_url=given.required("SKERRY_REPOSITORY_URL", "the URL of the model repository"),
        listen=given.address("SKERRY_LISTEN") or DEFAULT_LISTEN,
        teacher=given.address_text("SKERRY_TEACHER"),
        feedback=_feedback(given),
        feedback_token_s=given.whole("SKERRY_FEEDBACK_TOKEN_SECONDS", 31 * 86_400, low=1),
        subject_key_file=Path(key_file) if (key_file := given.text("SKERRY_SUBJECT_KEY")) else None,
        feedback_secret_file=Path(secret_file) if secret_file else None,
        unix_listen=_unix_listen(given),
        tls_listen=tls_listen,
        tls=_tls(given) if tls_listen else None,
        http=given.address("SKERRY_HTTP"),
        transport=given.choice("SKERRY_TRANSPORT", TRANSPORTS),
        address=_told_address(given.text("SKERRY_ADDRESS")),
        beat_s=given.number("SKERRY_BEAT_SECONDS", 1.0, low=0.05),
        spool_bytes=given.megabytes("SKERRY_SPOOL_MB", 64, low=1),
        models_bytes=given.megabytes("SKERRY_MODELS_MB", 1024, low=1),
        memory_limit_bytes=given.megabytes("SKERRY_MEMORY_LIMIT_MB"),
        fetch_timeout_s=given.number("SKERRY_FETCH_TIMEOUT_SECONDS", 300.0, low=1),
        fetch_memory_bytes=given.megabytes("SKERRY_FETCH_MEMORY_MB", 2048),
        threads=given.whole("SKERRY_THREADS"),
        provider=given.text("SKERRY_PROVIDER", "cpu"),
        notice_s=given.number("SKERRY_NOTICE_SECONDS", 0.0),
        linger_s=given.number("SKERRY_LINGER_SECONDS", 0.0),
        grace_s=given.number("SKERRY_GRACE_SECONDS", 20.0),
        privacy=Path(privacy) if privacy else None,
        log_level=given.text("SKERRY_LOG_LEVEL", "INFO"),
    )


def _node_name(name: str) -> str:
    try:
        return names.check("EdgeNode", name)
    except errors.InputError as exc:
        raise errors.InputError(f"SKERRY_NODE: {exc}") from exc


def _feedback(given: Variables) -> str:
    """Each proof needs what it is checked against: without it nobody's truth would be taken, and nobody would know."""
    text = given.text("SKERRY_FEEDBACK", Proof.TOKEN.value)
    try:
        proofs = parse_proofs(text)
    except errors.InputError as exc:
        raise errors.InputError(f"SKERRY_FEEDBACK: {exc}") from exc
    needed = {
        Proof.SECRET: "SKERRY_FEEDBACK_SECRET_FILE",
        Proof.CERTIFICATE: "SKERRY_TLS_LISTEN",
    }
    for proof, variable in needed.items():
        if proof in proofs and not given.text(variable):
            raise errors.InputError(f"SKERRY_FEEDBACK={proof} needs {variable} beside it")
    return text


def _tls(given: Variables) -> Tls:
    names = ("SKERRY_TLS_CERT", "SKERRY_TLS_KEY", "SKERRY_CLIENT_CA")
    if missing := [name for name in names if not given.text(name)]:
        raise errors.InputError(f"SKERRY_TLS_LISTEN needs {', '.join(missing)} beside it")
    certificate, key, client_ca = (given.text(name) for name in names)
    return Tls(certificate, key, client_ca, modern=True)


def _unix_listen(given: Variables) -> UnixAddress | None:
    text = given.text("SKERRY_UNIX_LISTEN")
    if not text:
        if alone := [name for name in ("SKERRY_UNIX_MODE", "SKERRY_UNIX_USERS") if given.text(name)]:
            raise errors.InputError(f"{alone[0]} needs SKERRY_UNIX_LISTEN beside it")
        return None
    users = given.text("SKERRY_UNIX_USERS")
    return UnixAddress(
        unix_sockets.parse("SKERRY_UNIX_LISTEN", text),
        _mode(given.text("SKERRY_UNIX_MODE", "0660")),
        frozenset(_user(one.strip()) for one in users.split(",")) if users else None,
    )


def _mode(text: str) -> int:
    if not (0 < len(text) <= 4 and set(text) <= set("01234567")) or (mode := int(text, 8)) > 0o777:
        raise errors.InputError(f"SKERRY_UNIX_MODE must be an octal mode like 0660, not {text[:40]!r}")
    return mode


def _user(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError) as exc:
        raise errors.InputError(f"SKERRY_UNIX_USERS: this machine has no user {text[:80]!r}") from exc


def _told_address(text: str) -> str:
    """People may write what they like, a name or a URL: but no address that leads everybody to themselves."""
    hosts = (text, text.rpartition(":")[0] if ":" in text else text)
    if text and any(addresses.is_wildcard(host.strip("[]")) for host in hosts):
        raise errors.InputError(
            f"SKERRY_ADDRESS {text[:80]!r} is where a listener takes calls, not where clients reach this node: give a "
            "host and a port, or leave it out"
        )
    return text


def _trust_root(given: Variables, state: Path, enrol: str) -> Path:
    if enrol and not given.text("SKERRY_TRUST_ROOT"):
        return state / "identity" / "root.json"
    return Path(given.required("SKERRY_TRUST_ROOT", "the file of the trusted root metadata"))
