"""`skerry up` and `skerry down`: the whole platform on this machine, in the background, on one state folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from skerry.cli import output, system_file
from skerry.cli.system import ownership
from skerry.cli.system.layout import Layout
from skerry.core import errors

START_S, STOP_S = 90.0, 40.0

state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=".skerry",
    envvar="SKERRY_STATE_DIR",
    show_default=True,
    help="Folder that keeps everything this system must not lose.",
)


@click.command()
@state_option
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1, 20), help="How many edge agents to run.")
@click.option(
    "--transport", default="h2", show_default=True, type=click.Choice(["h2", "grpcio"]), help="gRPC transport."
)
@click.option("--storage", default="", help="Keep blobs and the model repository there, like s3://bucket/prefix.")
@click.option("--foreground", is_flag=True, help="Stay attached; Ctrl-C stops everything.")
def up(state: Path, nodes: int, transport: str, storage: str, foreground: bool) -> None:
    """Start the platform on this machine: cloud side, edge agents, dashboard.

    Everything listens on loopback only and keeps its data in the state folder. Running it again after a crash or a
    reboot continues where it was. `skerry down` stops all of it. Object storage is found by AWS_ENDPOINT_URL and the
    other variables of AWS's own tools.
    """
    layout = Layout.found(state.absolute(), storage)
    if storage:
        from skerry.adapters import blobs

        blobs.open_shared(layout.blobs_url)  # before the folder remembers it
    layout.make()
    command = [sys.executable, "-m", "skerry.cli.system.supervisor_main", str(layout.root), str(nodes), transport]
    if foreground:
        raise SystemExit(subprocess.call(command))
    with layout.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    _wait_until_up(layout, supervisor)
    description = system_file.read(layout.root)
    output.say(f"skerry is up ({layout.root})")
    for agent in description.agents:
        output.say(f"  agent {agent.node:<12} {agent.address}   (Open Inference Protocol v2 over gRPC)")
    output.say(f"  gateway            {description.gateway}")
    output.say(f"  teacher            {description.teacher}")
    output.say(f"  dashboard          http://{description.dashboard}")
    output.say("next: `skerry models apply`, `skerry models import` or `skerry nodes`; `skerry down` stops it")


def _wait_until_up(layout: Layout, supervisor: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_S
    while not system_file.path(layout.root).exists() or system_file.read(layout.root).supervisor != supervisor.pid:
        if supervisor.poll() is not None or time.monotonic() > end:
            last_lines = layout.log("supervisor").read_text(errors="replace").strip().splitlines()[-12:]
            raise errors.UnavailableError("skerry did not start:\n" + "\n".join(last_lines))
        time.sleep(0.1)


@click.command()
@state_option
def down(state: Path) -> None:
    """Stop everything that `skerry up` started. What is stored stays; the next `skerry up` continues with it."""
    layout = Layout(state.absolute())
    owned = layout.root / "processes.json"
    pid = system_file.read(layout.root).supervisor if system_file.path(layout.root).exists() else None
    if pid is not None and ownership.is_supervisor(layout.root / "supervisor.json", pid):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while ownership.living(layout.root / "supervisor.json") and time.monotonic() < end:
            time.sleep(0.1)
        output.say("skerry is down")
    elif stopped := ownership.stop(owned, grace_s=8.0):
        output.say(f"the supervisor was gone already; stopped {stopped} processes that it had left behind")
    else:
        output.say(f"nothing of skerry runs on {layout.root}")
    system_file.path(layout.root).unlink(missing_ok=True)
