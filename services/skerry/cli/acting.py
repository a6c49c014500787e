"""Who acts through a command, why, and how what they do is written down (`adapters.acts`)."""

import getpass
import os
import socket
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from skerry.adapters.acts import Acts
    from skerry.adapters.objects.protocol import Objects

_REASON = "skerry.reason"
ACTOR = "SKERRY_ACTOR"


def keep_reason(context: click.Context, _: click.Parameter, reason: str) -> None:
    """Of `skerry --reason TEXT …`, for the command that follows."""
    context.meta[_REASON] = reason


def on(store: "Objects", reason: str = "") -> "Acts":
    """What the command does on `store`. `reason`: of the command's own option, where it has one."""
    from skerry.adapters.acts import Acts
    from skerry.core.audit import Actor

    context = click.get_current_context(silent=True)
    said = str(context.meta.get(_REASON) or "") if context is not None else ""
    via = "skerry" if context is None else f"skerry{context.command_path[len(context.find_root().command_path) :]}"
    return Acts(store, Actor(_account(), via=via, host=socket.gethostname()), reason or said)


def _account() -> str:
    """Of this machine, unless the environment says who it is (several people share a toolbox)."""
    if said := os.environ.get(ACTOR):
        return said
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"uid {os.getuid()}"
