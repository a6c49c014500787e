"""Whoever ends the demo ends all of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_no_process_and_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = (sys.executable, "-m", "skerry.cli.main", "demo", "--report", str(tmp_path / "report.html"))
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=_as_from_a_terminal
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "trains with" in line:  # everything runs, and a command beside it
                break
        assert _belonging(tmp_path)
        demo.send_signal(number)
        assert demo.wait(60) == 1
    assert _belonging(tmp_path) == {}
    assert list(tmp_path.glob("skerry-demo-*")) == []


def _as_from_a_terminal() -> None:
    """Whoever a shell starts in the background is deaf to Ctrl-C, and so are its children: a CI job may be."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _belonging(folder: Path) -> dict[int, str]:
    """The processes whose command or state lies in the folder."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder / "skerry-demo-").encode() in told:
            found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
    return found
