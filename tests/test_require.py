"""A missing program is a skip that is told at the end, or a failure when it was asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITE = """
import pytest
from require import requires

@requires("moon", False, "no rocket here; build one")
def test_on_the_moon():
    raise AssertionError("this must not run")

@requires("earth", lambda: True, "unthinkable")
def test_on_earth():
    pass

@pytest.mark.long
def test_for_ages():
    raise AssertionError("nor this")
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name in ("conftest.py", "require.py"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "test_places.py").write_text(SUITE)
    return tmp_path


def run(suite: Path, asked: str, workers: int = 0) -> "subprocess.CompletedProcess[str]":
    options = ("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "-q", "-m", "not long", f"-n{workers}")
    command = (sys.executable, "-m", "pytest", *options, ".")
    environment = {
        **os.environ,
        "SKERRY_REQUIRE": asked,
        "PYTHONPATH": os.pathsep.join((str(suite), str(HERE), *sys.path)),
    }
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("asked", "workers"), [("", 0), ("sun, earth", 2)])
def test_what_is_missing_is_skipped_and_told_once_at_the_end(suite: Path, asked: str, workers: int) -> None:
    done = run(suite, asked, workers)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert done.stdout.count("left out: 1 tests") == 1
    assert done.stdout.count("1  needs moon: no rocket here; build one") == 1
    assert done.stdout.count("1 long tests are for `make test-rest`") == 1


def test_what_is_missing_but_asked_for_is_a_failure(suite: Path) -> None:
    done = run(suite, "earth,moon")
    assert done.returncode == 1
    assert "SKERRY_REQUIRE asks for moon, which is missing: no rocket here" in done.stdout
    assert "nothing else was left out" in done.stdout
