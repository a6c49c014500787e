"""How a command finds the running system: `<state>/system.json`, written by `skerry up`, gone when it is down. Where
there is none: the variables that the services of a cluster have (SKERRY_OBJECTS and its like).

It holds addresses and paths, no secret; `keys` is the path of the folder whose files are private to their owner.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry.core import errors

NAME = "system.json"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Agent:
    """One edge agent and the `host:port` where it serves."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class Description:
    """Where the parts of one system are. URLs as in SKERRY_OBJECTS, SKERRY_BLOBS, SKERRY_REPOSITORY and
    SKERRY_REDIS_URL; `gateway`, `teacher` and `dashboard` are `host:port`; `pids` by part, as
    is the `host:port` of /metrics; `supervisor` is the process
    that restarts them."""

    objects: str
    blobs: str
    redis: str
    repository: str
    keys: str
    gateway: str
    teacher: str
    dashboard: str
    agents: tuple[Agent, ...]
    supervisor: int = 0
    pids: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


_TEXTS = {
    "objects": "objects",
    "blobs": "blobs",
    "redis": "redis",
    "repository": "repository",
    "keys": "keys",
    "gateway": "gateway",
    "teacher": "teacher",
    "dashboard": "dashboard",
}


def path(state: Path) -> Path:
    """Where the file of a state folder lies."""
    return state / NAME


def write(state: Path, system: Description) -> None:
    """Say where the system is; a reader sees the old file or the new one."""
    document: dict[str, Any] = {key: getattr(system, name) for key, name in _TEXTS.items()}
    document["agents"] = [{"node": agent.node, "address": agent.address} for agent in system.agents]
    document |= {"supervisor": system.supervisor, "pids": dict(system.pids), "metrics": dict(system.metrics)}
    fresh = path(state).with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=2) + "\n")
    fresh.replace(path(state))


def read(state: Path) -> Description:
    """Find the system of a state folder. Raises UnavailableError when none runs, IntegrityError for a bad file."""
    file = path(state)
    try:
        with file.open("rb") as source:
            data = source.read(_MAX_BYTES + 1)
    except FileNotFoundError as exc:
        if os.environ.get("SKERRY_OBJECTS"):
            return _of_environment(os.environ)
        raise errors.UnavailableError(
            f"no skerry system runs on {state}: `skerry up` starts one, "
            "--state or SKERRY_STATE_DIR names another folder"
        ) from exc
    except OSError as exc:
        raise errors.UnavailableError(f"cannot read {file}: {exc.strerror}") from exc
    try:
        return _parse(json.loads(data[:_MAX_BYTES]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(
            f"{file} is damaged ({exc}): `skerry down` and `skerry up` write a new one"
        ) from exc


def _of_environment(given: Mapping[str, str]) -> Description:
    """What is not given is empty: the command that needs it says so."""
    variables = {"objects": "OBJECTS", "blobs": "BLOBS", "redis": "REDIS_URL", "repository": "REPOSITORY"}
    variables |= {"keys": "KEYS", "gateway": "GATEWAY", "teacher": "TEACHER"}
    texts: dict[str, Any] = {name: given.get(f"SKERRY_{variable}", "") for name, variable in variables.items()}
    return Description(**texts, dashboard="", agents=())


def _parse(document: Any) -> Description:
    texts = {name: document[key] for key, name in _TEXTS.items()}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a text")
    agents = tuple(Agent(str(agent["node"]), str(agent["address"])) for agent in document["agents"])
    pids = {str(name): int(pid) for name, pid in document.get("pids", {}).items()}
    metrics = {str(name): str(at) for name, at in document.get("metrics", {}).items()}
    supervisor = int(document.get("supervisor", 0))
    return Description(**texts, agents=agents, supervisor=supervisor, pids=pids, metrics=metrics)
