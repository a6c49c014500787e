"""A lease on one machine: a lock of the system on a file, held while the process lives, and a durable epoch beside it.

The system frees the lock at any kind of death, so there is no term to wait for. Not for network file systems.
"""

import fcntl
import os
from pathlib import Path

from skerry.adapters import files
from skerry.core import errors


class LocalLease:
    """`<folder>/<name>.lease` is locked; `<name>.epoch` holds "<epoch> <holder>", replaced atomically."""

    def __init__(self, folder: Path, name: str) -> None:
        files.check_name(name, "lease")
        self._lock_path = folder / f"{name}.lease"
        self._epoch_path = folder / f"{name}.epoch"
        self._descriptor: int | None = None
        self._epoch = 0

    def acquire(self, holder: str) -> int | None:
        if self.renew():
            return self._epoch
        self.release()
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        self._descriptor = descriptor
        if not self.renew():  # the file was replaced between open and lock
            self.release()
            return None
        try:
            self._epoch = self._last_epoch() + 1
            files.write(self._epoch_path, f"{self._epoch} {holder}\n".encode())
        except errors.SkerryError:
            self.release()
            raise
        return self._epoch

    def renew(self) -> bool:
        """Whether the locked file is still the one at the path: somebody who removes it opens the door to another."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._lock_path.stat())
        except OSError:
            return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def begin_above(self, epoch: int) -> None:
        """Let the next leader's epoch be higher than `epoch`: the objects came from a system that knew it."""
        if epoch > self._last_epoch():
            files.write(self._epoch_path, f"{epoch} restored\n".encode())

    def _last_epoch(self) -> int:
        try:
            text = self._epoch_path.read_text()
        except FileNotFoundError:
            return 0
        number = text.partition(" ")[0]
        if not (number.isascii() and number.isdigit()):
            raise errors.IntegrityError(
                f"{self._epoch_path} does not hold an epoch but {text[:40]!r}: write a number above every epoch in the "
                "objects' status into it"
            )
        return int(number)
