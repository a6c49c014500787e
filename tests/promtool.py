"""promtool, Prometheus' own checker (Debian: `apt install prometheus`): of metrics, rules and expressions."""

import shutil
import subprocess
from pathlib import Path

import require

requires_promtool = require.requires(
    "promtool", lambda: shutil.which("promtool") is not None, "promtool is not on the PATH (apt install prometheus)"
)


def run(*arguments: str | Path, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)


def complaints(page: bytes) -> list[str]:
    """What `promtool check metrics` says of a page in the text format; nothing is what it should say."""
    done = run("check", "metrics", given=page)
    return (done.stdout + done.stderr).decode().splitlines() + (["it failed"] if done.returncode else [])
