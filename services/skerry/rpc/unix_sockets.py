"""Unix domain sockets to listen on: their file, its mode, and who is at the other end.

The file gets its mode before anybody can find it. One that an ended process left is replaced; one that somebody listens
on, and what is no socket, is left alone.
"""

import contextlib
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors

MAX_PATH_BYTES = 107  # of sockaddr_un, whose text ends with a zero
_SCHEME = "unix://"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_BACKLOG = 1_024


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """`users`: the user ids that are let in; None: everybody whom the file's `mode` lets."""

    path: str
    mode: int = 0o660
    users: frozenset[int] | None = None

    def __str__(self) -> str:
        return _SCHEME + self.path


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket, and its file as it was made: what another process puts in its place is not ours."""

    socket: socket.socket
    address: UnixAddress
    file: tuple[int, int]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if _identity(self.address.path) == self.file:
                Path(self.address.path).unlink()
        self.socket.close()


def parse(name: str, text: str) -> str:
    """The path of `unix:///path`. Raises InputError naming `name`."""
    path = text.removeprefix(_SCHEME)
    if path == text or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise errors.InputError(f"{name} must be unix:///path, the absolute path of a socket, not {text[:300]!r}")
    if (size := len(os.fsencode(path))) > MAX_PATH_BYTES:
        raise errors.InputError(f"{name}: the path of a socket has at most {MAX_PATH_BYTES} bytes, this one has {size}")
    return path


def bind(address: UnixAddress) -> Bound:
    """Listen. Raises UnavailableError: somebody listens there, something else lies there, or it cannot be made."""
    folder, name = os.path.split(address.path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            new = f".{os.getpid()}.sock"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=place)
            listening.bind(f"/proc/self/fd/{place}/{new}")  # short, however long the folder's path is
            try:
                os.chmod(new, address.mode, dir_fd=place)
                listening.listen(_BACKLOG)
                _put(place, new, name, address)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=place)
        finally:
            os.close(place)
        return Bound(listening, address, _identity(address.path))
    except OSError as exc:
        listening.close()
        raise errors.UnavailableError(f"cannot listen on {address}: {exc.strerror or exc}") from exc
    except BaseException:
        listening.close()
        raise


def _put(place: int, new: str, name: str, address: UnixAddress) -> None:
    try:
        os.link(new, name, src_dir_fd=place, dst_dir_fd=place, follow_symlinks=False)
    except FileExistsError:
        check_stale(address)
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)


def check_stale(address: UnixAddress) -> None:
    """Raises UnavailableError unless nothing lies there, or a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
            raise errors.UnavailableError(f"cannot listen on {address}: a file that is no socket lies there; move it")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            asking.connect(address.path)
    except (FileNotFoundError, ConnectionRefusedError):
        return
    except OSError as exc:
        if not isinstance(exc, BlockingIOError):  # its queue is full: somebody listens
            raise
    raise errors.UnavailableError(
        f"cannot listen on {address}: another process listens there; end it, or give each a path of its own"
    )


def set_mode(address: UnixAddress) -> None:
    """Of a file that another library made. Raises OSError."""
    Path(address.path).chmod(address.mode)


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """(user id, process id) of who connected, as the kernel noted it then. Raises OSError."""
    noted = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(noted)
    return user, process


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
