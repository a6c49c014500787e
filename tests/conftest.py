"""Hooks of the whole suite: what a machine lacks is skipped or failed by `require`, and told at the very end; which
tests there are depends on nothing but the files."""

import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import apiserver_process
import apiserver_twin
import hypothesis
import permissive_crds
import pytest
import require

# How long an example may take says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("skerry", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires(name, available, why): what the test needs, see tests/require.py")
    hypothesis.settings.load_profile("quick" if config.option.markexpr == "not long" else "skerry")


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


_long_left_out = pytest.StashKey[int]()
_LONG_LEFT_OUT = "long tests left out"  # in what a worker hands to the process that reports


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    if items:
        config, count = items[0].config, sum(item.get_closest_marker("long") is not None for item in items)
        config.stash[_long_left_out] = config.stash.get(_long_left_out, 0) + count


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_LONG_LEFT_OUT] = session.config.stash.get(_long_left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker has collected the same tests."""
    node.config.stash[_long_left_out] = getattr(node, "workeroutput", {}).get(_LONG_LEFT_OUT, 0)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Every skipped test is told, with its reason: a test that nobody misses is no test."""
    if long := config.stash.get(_long_left_out, 0):
        terminalreporter.write_line(f"{long} long tests are for `make test-rest`")
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        terminalreporter.write_line("nothing was left out" if not long else "nothing else was left out")
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


@pytest.fixture(scope="session")
def apiserver_in_memory() -> Iterator[apiserver_twin.TwinServer]:
    """A twin of it, everywhere."""
    with apiserver_twin.running() as server:
        yield server
