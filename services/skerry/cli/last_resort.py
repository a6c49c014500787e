"""What nobody foresaw: an exception that skerry did not raise becomes one sentence and a file with the traceback.

An operating-system error is the environment's (a full disk, a missing permission) and said as such; anything else is a
bug of skerry and said as that.
"""

import errno
import os
import sys
import tempfile
import traceback

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


def explain(unexpected: Exception) -> tuple[str, int]:
    """(one sentence, exit code). Writes the traceback where the sentence says."""
    if isinstance(unexpected, OSError) and unexpected.errno is not None:
        return _of_the_system(unexpected), 4
    if isinstance(unexpected, MemoryError):
        return "there is not enough memory for this: bring the data in smaller files", 4
    kind = f"{type(unexpected).__name__}: {_first_line(unexpected)}"
    return f"this is a bug of skerry ({kind}); please report it with the file {_write(unexpected)}", EXIT_CODE


def is_closed_pipe(unexpected: Exception) -> bool:
    """The reader of the output has gone, as `head` does: nothing is wrong."""
    return isinstance(unexpected, OSError) and unexpected.errno == errno.EPIPE


def _of_the_system(error: OSError) -> str:
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or error}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no text"


def _write(error: Exception) -> str:
    """The file that holds the traceback and what was called."""
    with tempfile.NamedTemporaryFile("w", prefix="skerry-bug-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(f"skerry {' '.join(sys.argv[1:2])}, Python {sys.version}, {os.uname().sysname}\n")
        traceback.print_exception(error, file=file)
    return file.name
