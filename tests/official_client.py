"""The script of docs/how-to/operations.md in the official Python client, as a user would run it: in an environment of
its own, since that client wants other versions than ours (ADR 6)."""

import functools
import subprocess
from pathlib import Path

import doc_blocks
import environments
import require

PAGE, SCRIPT = "docs/how-to/operations.md", "follow.py"
REQUIREMENTS = ("kubernetes==37.0.1",)


@functools.cache
def _python() -> Path | None:
    return environments.python("kubernetes", REQUIREMENTS, asked_by="kubernetes")


requires_client = require.requires(
    "kubernetes", lambda: _python() is not None, f"`make test-apiserver` installs {REQUIREMENTS[0]}"
)


def begin(folder: Path, kubeconfig: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The script of the page, started with these arguments."""
    python = _python()
    assert python is not None
    doc_blocks.write_files(PAGE, folder)
    given = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
    command = [str(python), SCRIPT, *arguments]
    return subprocess.Popen(command, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
