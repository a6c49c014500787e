"""Jobs as processes of this machine, each in a session of its own, with files `<name>.{lock,pid,log,held}` in a
folder.

A job holds the lock of its lock file for as long as it or anything it started lives: that is how a restarted
controller knows its job, whatever became of process ids. The process id, written by the job itself, is only used to
end it, and only while the lock is held. A job that is held has no process; its file `held` says so.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skerry.adapters import files
from skerry.controller.jobs.protocol import Job, Order, State
from skerry.core import errors

_GRACE_S = 5.0
_POLL_S = 0.02
# The shell writes its own process id, then becomes the job: no moment at which a job runs and nobody knows its id.
_LAUNCH = 'echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@"'


class LocalJobs:
    """`command(workers)` is run for every job, in the environment `inherited` plus SKERRY_RUN."""

    def __init__(self, folder: Path, command: Callable[[int], Sequence[str]], inherited: Mapping[str, str]) -> None:
        self._folder = folder
        self._command = command
        self._inherited = inherited
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start(self, order: Order) -> None:
        name = order.run
        if order.suspend:
            self._hold(name)
            return
        self._path(name, "held").unlink(missing_ok=True)
        lock = os.open(self._path(name, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        try:
            self._path(name, "pid").unlink(missing_ok=True)
            with self._path(name, "log").open("ab") as log:
                self._children[name] = subprocess.Popen(
                    ["/bin/sh", "-c", _LAUNCH, str(self._path(name, "pid")), *self._command(order.template.workers)],
                    env={**self._inherited, "SKERRY_RUN": name},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[lock],
                )
        except OSError as exc:
            raise errors.UnavailableError(
                f"cannot start the job of {name}: {exc}; its files are in {self._folder}"
            ) from exc
        finally:
            os.close(lock)

    def poll(self, name: str) -> Job:
        if not self._path(name, "lock").exists():
            return Job(State.ABSENT)
        if self._is_held(name):
            return Job(State.RUNNING)
        if self._path(name, "held").exists():
            return Job(State.SUSPENDED, reason="Suspended", message="spec.suspend is true", suspend=True)
        child = self._children.get(name)
        try:
            # A process lets go of its lock a moment before it can be asked how it ended.
            return Job(State.ENDED, child.wait(_POLL_S) if child else None)
        except subprocess.TimeoutExpired:
            return Job(State.RUNNING)

    def log(self, name: str, max_bytes: int) -> bytes:
        try:
            with self._path(name, "log").open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - max_bytes))
                return log.read(max_bytes)
        except FileNotFoundError:
            return b""

    def stop(self, name: str) -> None:
        self._end(name)
        # The lock goes last: while it is there, the job is known.
        for kind in ("pid", "log", "held", "lock"):
            self._path(name, kind).unlink(missing_ok=True)

    def names(self) -> Sequence[str]:
        return sorted(path.stem for path in self._folder.glob("*.lock"))

    def _path(self, name: str, kind: str) -> Path:
        return self._folder / f"{files.check_name(name, 'job')}.{kind}"

    def _hold(self, name: str) -> None:
        """End its processes, keep its log."""
        self._end(name)
        self._path(name, "held").touch(mode=0o600)
        self._path(name, "lock").touch(mode=0o600)

    def _end(self, name: str) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self._is_held(name):
                break
            self._signal(name, number)
            self._wait(name)
        if self._is_held(name):
            raise errors.UnavailableError(f"the job of {name} does not end: look at the process in {self._folder}")
        if child := self._children.pop(name, None):
            child.wait()

    def _is_held(self, name: str) -> bool:
        try:
            lock = os.open(self._path(name, "lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _signal(self, name: str, number: int) -> None:
        end = time.monotonic() + _GRACE_S
        while not self._path(name, "pid").exists() and self._is_held(name) and time.monotonic() < end:
            time.sleep(_POLL_S)  # the shell has started and not yet written
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.killpg(int(self._path(name, "pid").read_text()), number)

    def _wait(self, name: str) -> None:
        end = time.monotonic() + _GRACE_S
        while self._is_held(name) and time.monotonic() < end:
            if child := self._children.get(name):
                child.poll()
            time.sleep(_POLL_S)
