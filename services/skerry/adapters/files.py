"""Durable files: atomic writes that survive a power cut, and one writer at a time by a lock file.

A reader without the lock sees a file whole, as it was before or after a write.
"""

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from skerry.core import errors

_LOCK_POLL_S = 0.05
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` atomically; durable when it returns. Raises UnavailableError (disk full)."""
    # A name of its own for each writer: threads, and containers that share a volume and a process id, do not meet.
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise errors.UnavailableError(f"cannot write {path}: {exc.strerror}; free space or fix permissions") from exc


def read(path: Path, *, max_bytes: int) -> bytes:
    """A whole small file. Raises UnavailableError (not there, not readable) and TooLargeError."""
    try:
        with path.open("rb") as source:
            data = source.read(max_bytes + 1)
    except OSError as exc:
        raise errors.UnavailableError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > max_bytes:
        raise errors.TooLargeError(f"{path} has more than {max_bytes} bytes")
    return data


def keep_private() -> None:
    """What this process and its children make from now on is its user's alone. Every `main` begins with it: the umask
    that whoever started it happens to have lets everybody read."""
    os.umask(0o077)


def shut_out_others(folder: Path) -> None:
    """Let nobody but owner and group into a folder that an earlier release made, where it is ours to change."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~stat.S_IRWXO)


def sync_folder(folder: Path) -> None:
    """Make renames and removals inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_name(name: str, what: str) -> str:
    """`name` when it is safe as one path segment and one TUF pattern part. Raises InputError naming `what`."""
    if not _SAFE_NAME.fullmatch(name):
        raise errors.InputError(
            f"{what} {name!r} must be 1-128 letters, digits, '.', '_' or '-', and not begin with '.'"
        )
    return name


class Lock:
    """The writers' lock at `path`, which is made when it is not there. The system frees it when the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    @property
    def is_held(self) -> bool:
        return self._file is not None

    def take(self) -> bool:
        """Hold it from now on, without waiting; False while another holds it. Raises UnavailableError when the folder
        cannot be used."""
        if self._file is not None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as stack:
                opened = stack.enter_context(self.path.open("a"))
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stack.pop_all()
                self._file = opened
        except BlockingIOError:
            return False
        except OSError as exc:
            raise errors.UnavailableError(f"cannot lock {self.path}: {exc.strerror}") from exc
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float = 30.0) -> Iterator[None]:
    """Hold the writers' lock at `path`. Raises UnavailableError after `timeout_s` seconds of waiting."""
    lock, deadline = Lock(path), time.monotonic() + timeout_s
    while not lock.take():
        if time.monotonic() > deadline:
            raise errors.UnavailableError(f"{path} is held by another writer for {timeout_s:.0f} s")
        time.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        lock.release()
