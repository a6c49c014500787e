"""What tests do to the machines of a cluster, by commands that the environment names: the tests know no tool.

SKERRY_NODE_CUT, SKERRY_NODE_HEAL: pull and plug a node's network; SKERRY_NODE_STOP, SKERRY_NODE_START: its power. The
node's name is put behind. SKERRY_APISERVER_KILL, SKERRY_APISERVER_START: end the API server at once, bring it back.
SKERRY_LOAD_IMAGES: reads a `docker save` archive from standard input into the nodes named behind.
"""

import os
import shlex
import subprocess
from collections.abc import Sequence

import kube
import require

NAMES = (
    "SKERRY_NODE_CUT",
    "SKERRY_NODE_HEAL",
    "SKERRY_NODE_STOP",
    "SKERRY_NODE_START",
    "SKERRY_APISERVER_KILL",
    "SKERRY_APISERVER_START",
)
_TIMEOUT_S = 180.0
requires_faults = require.requires(
    "cluster-faults", all(os.environ.get(name) for name in NAMES), f"{', '.join(NAMES)} name no commands"
)


def _do(name: str, *words: str) -> None:
    kube.run("sh", "-c", f"{os.environ[name]} {shlex.join(words)}", timeout_s=_TIMEOUT_S)


def cut(node: str) -> None:
    _do("SKERRY_NODE_CUT", node)


def heal(node: str) -> None:
    _do("SKERRY_NODE_HEAL", node)


def power_off(node: str) -> None:
    _do("SKERRY_NODE_STOP", node)


def power_on(node: str) -> None:
    _do("SKERRY_NODE_START", node)


def kill_apiserver() -> None:
    _do("SKERRY_APISERVER_KILL")


def start_apiserver() -> None:
    _do("SKERRY_APISERVER_START")


def load_images(images: Sequence[str], nodes: Sequence[str]) -> None:
    """Bring local images into nodes; without SKERRY_LOAD_IMAGES the cluster has them, or can pull them."""
    command = os.environ.get("SKERRY_LOAD_IMAGES", "")
    if not command or not nodes:
        return
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
        loaded = subprocess.run(
            ["sh", "-c", f"{command} {shlex.join(nodes)}"], stdin=saved.stdout, capture_output=True, timeout=600
        )
    if loaded.returncode or saved.returncode:
        raise kube.FailedError(f"{', '.join(images)} into {', '.join(nodes)}: {loaded.stderr.decode()[-2000:]}")
