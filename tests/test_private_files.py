"""Nothing that a process keeps can be read by another user of the machine, whatever umask it was started with. (Every
agent that a test runs is looked at as well, by `agent_process.world`.)"""

import importlib
import logging
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from skerry.adapters import files
from skerry.cli import main

SERVICES = ("agent", "teacher", "gateway", "curator", "trainer", "controller", "dashboard")
PRIVATE = 0o077


@pytest.fixture
def open_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """022, as on most systems; the umask, the log and the signals of this process are as before afterwards."""
    before, handlers = os.umask(0o022), logging.getLogger().handlers[:]
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for name in [name for name in os.environ if name.startswith("SKERRY_")]:
        monkeypatch.delenv(name)
    yield
    os.umask(before)
    logging.getLogger().handlers[:] = handlers
    for number, handler in signals.items():
        signal.signal(number, handler)


def umask() -> int:
    os.umask(found := os.umask(0))
    return found


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_makes_private_files_from_its_first_line(service: str) -> None:
    started = importlib.import_module(f"skerry.{service}.main").main
    try:
        assert started(), "without settings it ends at once"
    except SystemExit as ended:
        assert ended.code
    assert umask() == PRIVATE


@pytest.mark.usefixtures("open_umask")
def test_the_command_makes_private_files(tmp_path: Path) -> None:
    CliRunner().invoke(main.main, ["nodes", "--state", str(tmp_path)])
    assert umask() == PRIVATE


def test_an_older_state_folder_is_closed_to_others_and_stays_open_to_its_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    files.shut_out_others(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o2770
    files.shut_out_others(tmp_path / "missing")
