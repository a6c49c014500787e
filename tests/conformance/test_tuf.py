"""Our trust client before the conformance suite of the TUF authors (github.com/theupdateframework/tuf-conformance), in
an environment of its own. TUF_CONFORMANCE names a checkout of it, of 2.4.0: a newer one may ask for more.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import environments
import pytest
import require
from tuf_client import SOCKET

SUITE = os.environ.get("TUF_CONFORMANCE", "")
TESTS = 111  # without its recorded repositories, which are tested where they are there
# What the suite allows a client to do without, and why ours does.
REFUSED = {
    "test_artifact_cache": "an agent fetches a version once, into a slot: what is there it does not fetch again",
}
_TESTS = Path(__file__).parents[1]
_TIMEOUT_S = 600
pytestmark = [
    pytest.mark.long,
    require.requires(
        "tuf-conformance",
        lambda: bool(SUITE) and bool(shutil.which("faketime")) and _suite_python() is not None,
        "TUF_CONFORMANCE=<checkout of github.com/theupdateframework/tuf-conformance, 2.4.0>, and faketime on the PATH",
    ),
]


def _suite_python() -> Path | None:
    return environments.python("tuf-conformance", (SUITE, "pytest-xdist==3.8.0"), "tuf-conformance")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """The socket of a process that plays the client's commands."""
    path = tmp_path / "client"
    sources = os.pathsep.join((str(_TESTS.parent / "services"), str(_TESTS)))
    command = [sys.executable, str(_TESTS / "tuf_client.py"), "serve", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": sources}) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield path
        server.kill()


@pytest.fixture
def entrypoint(tmp_path: Path, served: Path) -> Path:
    """The program that the suite starts, and beside it the names of the tests that must fail."""
    program = tmp_path / "tuf-client"
    program.write_text(
        f"#!/bin/sh\n{SOCKET}='{served}' exec '{sys.executable}' -SE '{_TESTS / 'tuf_client.py'}' \"$@\"\n"
    )
    program.chmod(0o755)
    program.with_name("tuf-client.xfails").write_text("\n".join(REFUSED))
    return program


def test_the_conformance_suite_of_the_tuf_authors_passes(entrypoint: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    suite = [str(_suite_python()), "-m", "pytest", "-q", "-n", "2", f"{SUITE}/tuf_conformance"]
    options = ["--entrypoint", str(entrypoint), "-p", "no:cacheprovider", "--junitxml", str(report)]
    done = subprocess.run([*suite, *options], capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    refused = [case.get("name") for case in cases if case.find("skipped") is not None]
    assert refused == list(REFUSED)  # an expected failure stands as skipped in the report
    assert len(cases) >= TESTS
