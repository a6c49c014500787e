"""One child process: started with a log file of its own, watched, stopped gently and then not so gently."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from skerry.cli.system.process_specs import ProcessSpec
from skerry.core import errors


class Process:
    """A part that runs. Its output goes straight to the log file, so it survives whoever started it."""

    def __init__(self, part: ProcessSpec, log: Path, inherited: Mapping[str, str]) -> None:
        self.part, self.log = part, log
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                part.command,
                env={**inherited, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the parts in order
            )
        self.pid = self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def is_ready(self) -> bool:
        """Has it printed its ready line since it was started?"""
        return any(line.get("event") == "ready" for line in read_events(self.log, self._log_start))

    def signal(self, number: int) -> None:
        if self.alive:
            self._popen.send_signal(number)

    def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL for the whole session after `grace_s`: a part's own children go with it."""
        self.signal(signal.SIGTERM)
        try:
            self._popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut would, for the part and its children."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def last_words(self, lines: int = 12) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def read_events(log: Path, start: int) -> Iterator[dict[str, object]]:
    """The JSON lines of a log file from byte `start` on; anything else in it is passed over."""
    if not log.exists():
        return
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if line.startswith(b"{"):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event


def wait_ready(process: Process, timeout_s: float) -> None:
    """Block until the part says ready. Raises UnavailableError with its last words when it ends or takes too long."""
    end = time.monotonic() + timeout_s
    while not process.is_ready():
        if not process.alive:
            raise errors.UnavailableError(
                f"{process.part.name} ended with code {process.exit_code} before it was ready; "
                f"its log {process.log} ends:\n{process.last_words()}"
            )
        if time.monotonic() > end:
            raise errors.UnavailableError(
                f"{process.part.name} was not ready after {timeout_s:g} s; its log {process.log} ends:\n"
                f"{process.last_words()}"
            )
        time.sleep(0.05)
