"""What SQLite and the disk say of a spool, in our words: it is damaged, or it cannot be used now."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from skerry.core import errors

# "No such table or column" and rows of the wrong type only happen to a file that was changed under us.
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR})


class DamagedSpoolError(errors.IntegrityError):
    """The file is not a whole spool; `spool_recovery` moves it aside."""


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", None)  # none: text that is not UTF-8
        if code is None or code & 0xFF in _DAMAGE:
            raise DamagedSpoolError(f"the spool {path} is damaged: {exc}") from exc
        raise errors.UnavailableError(f"the spool {path} cannot be used now: {exc}; free space") from exc
    except OSError as exc:
        raise errors.UnavailableError(f"the spool {path} cannot be used now: {exc.strerror}") from exc
