"""What the one-machine system tells of itself: the default fleet, and the description that commands find it by."""

import contextlib
import os

from skerry.adapters.objects.protocol import Objects
from skerry.cli import system_file
from skerry.cli.system.supervisor import System
from skerry.core import errors, writers

DEFAULT_FLEET = "all"


def ensure_default(store: Objects) -> None:
    """Every node belongs to the fleet `all` unless somebody makes others."""
    with contextlib.suppress(errors.ConflictError):
        store.create("EdgeFleet", DEFAULT_FLEET, {"selector": {}}, manager=writers.OPERATOR)


def describe(system: System) -> system_file.Description:
    """What `skerry` commands need to find this system."""
    layout, ports = system.layout, system.ports
    local = "127.0.0.1:{}".format
    return system_file.Description(
        supervisor=os.getpid(),
        objects=layout.objects_url,
        blobs=layout.blobs_url,
        redis=layout.redis_url,
        repository=layout.repository_url,
        keys=str(layout.keys),
        gateway=local(ports.gateway),
        teacher=local(ports.teacher),
        dashboard=local(ports.dashboard),
        metrics=system.ports.metrics(),
        pids={name: process.pid for name, process in system.processes.items()},
        agents=tuple(system_file.Agent(node, local(grpc)) for node, (grpc, _) in ports.agents.items()),
    )


def introduce(system: System, store: Objects) -> None:
    """Make the default fleet, and let commands find this system."""
    ensure_default(store)
    system_file.write(system.layout.root, describe(system))
