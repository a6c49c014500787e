"""Which tests there are is the files' to say: not the programs' of a machine, and not a network's."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OUTSIDE = {
    "process": "import subprocess; subprocess.run(['true'])",
    "shell": "import os; os.system('true')",
    "look_up": "import socket; socket.getaddrinfo('localhost', 80)",
    "connection": "import socket; socket.create_connection(('127.0.0.1', {port}))",
}
SUITE = """
import pytest
{at_import}

def test_anything():
    import subprocess
    subprocess.run([{python!r}, "-c", ""], check=True)
"""


def test_a_test_file_that_asks_the_machine_when_it_is_collected_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = _collected(tmp_path, {name: text.format(port=port) for name, text in OUTSIDE.items()})
    assert done.returncode == 2, done.stdout
    for name in OUTSIDE:
        assert f"ERROR test_{name}.py - RuntimeError" in done.stdout
    assert "Error: subprocess.Popen while tests are collected" in done.stdout


def test_a_test_that_runs_may_ask_the_machine(tmp_path: Path) -> None:
    done = _collected(tmp_path, {"nothing": ""})
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_the_same_tests_are_there_with_and_without_programs_on_the_path(tmp_path: Path) -> None:
    everything, nothing = tmp_path / "everything", tmp_path / "nothing"
    for folder in (everything, nothing):
        folder.mkdir()
    for program in ("helm", "kubectl", "docker", "chromium", "h2spec", "nghttp", "openssl", "c++", "g++"):
        (everything / program).write_text("#!/bin/sh\nexit 1\n")
        (everything / program).chmod(0o755)
    with_programs, without = (_ids(f"{folder}") for folder in (everything, nothing))
    assert with_programs == without
    assert any("test_charts_network.py" in one for one in without)


def _collected(folder: Path, at_import: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    for name in ("conftest.py", "require.py"):
        shutil.copy(HERE / name, folder)
    for name, text in at_import.items():
        (folder / f"test_{name}.py").write_text(SUITE.format(at_import=text, python=sys.executable))
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
        "-q",
        "-n0",
        ".",
    )
    paths = os.pathsep.join((str(folder), str(HERE), *sys.path))
    given = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)


def _ids(path: str) -> list[str]:
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=--import-mode=importlib")
    given = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=HERE.parent, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return [line for line in done.stdout.splitlines() if "::" in line]
