"""Hooks of the whole suite: what a machine lacks is skipped or failed by `require`, and told at the very end; which
tests there are depends on nothing but the files."""

import sys
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import apiserver_process
import hypothesis
import permissive_crds
import pytest
import require

# How long an example may take says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("skerry", deadline=None)
hypothesis.settings.load_profile("skerry")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires(name, available, why): what the test needs, see tests/require.py")


_WORLD = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec"}
_WORLD |= {"socket.connect", "socket.getaddrinfo"}
_collecting = False


def _refuse_the_world(event: str, arguments: tuple[Any, ...]) -> None:
    if _collecting and event in _WORLD:
        raise RuntimeError(f"{event} while tests are collected: which tests there are must not depend on the machine")


sys.addaudithook(_refuse_the_world)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What a program would answer belongs into a fixture or a test: without the program there are still its tests."""
    global _collecting
    _collecting = True
    try:
        return (yield)
    finally:
        _collecting = False


def pytest_runtest_setup(item: pytest.Item) -> None:
    require.check(list(item.iter_markers("requires")))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Every skipped test is told, with its reason: a test that nobody misses is no test."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        terminalreporter.write_line("nothing was left out")
        return
    reasons = Counter(_reason(report) for report in skipped)
    terminalreporter.write_sep("-", f"left out: {len(skipped)} tests")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  {count:>4}  {reason}")


def _reason(report: Any) -> str:
    _, _, text = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
    return str(text).removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def permissive_apiserver() -> Iterator[apiserver_process.ApiServer]:
    """A real API server that takes any spec and status of our kinds."""
    with apiserver_process.running() as server:
        server.kubectl("apply", "-f", "-", stdin=permissive_crds.text())
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield server
