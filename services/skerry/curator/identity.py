"""What a curator is called, and whether one of another name on the same machine has ended."""

import os
import re
import secrets
import socket

_FORM = re.compile(r"(?P<host>.+)-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}")


def new() -> str:
    """A name for this process that no other ever has: `<host>-<pid>-<random>`."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def has_ended(curator: str) -> bool:
    """Is it certain that the process of this name has ended? Of another machine's it never is. A container that is
    started again has its host's name and often its process id."""
    form = _FORM.fullmatch(curator)
    if form is None or form["host"] != socket.gethostname():
        return False
    pid = int(form["pid"])
    return pid == os.getpid() or not _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
