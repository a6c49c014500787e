"""The tokens of this node, and their key: made once in the state folder and shared by the agents on it. What a token
says is decided in `core.feedback`.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.telemetry import logs
from skerry.core import errors, feedback

log = logs.logger("agent.feedback")


class Tokens:
    """`clock()` gives Unix seconds; a token is good for `good_for_s`, or for longer where its truth is due later."""

    def __init__(self, key: bytes, clock: Callable[[], int], *, good_for_s: int) -> None:
        self._key, self._clock, self._good_for_s = key, clock, good_for_s

    def name(self, model: str, request_id: str) -> tuple[str, str]:
        """A new answer's name and its token."""
        answer = os.urandom(feedback.ANSWER_BYTES)
        return answer.hex(), feedback.issue(self._key, model, request_id, answer, self._clock())

    def answer_of(self, token: str, model: str, request_id: str, *, horizon_ms: int = 0) -> str:
        """The name of the answer that a token came with, whose truth was due `horizon_ms` later. Raises ForbiddenError
        and ExpiredTokenError."""
        lifetime = feedback.Lifetime(self._clock(), feedback.good_for_s(self._good_for_s, horizon_ms))
        return feedback.answer_of(self._key, token, model, request_id, lifetime).hex()


class NoTokens:
    """Where other proofs are asked for: answers have names all the same, so that an id that was used twice is told."""

    def name(self, model: str, request_id: str) -> tuple[str, str]:
        return os.urandom(feedback.ANSWER_BYTES).hex(), ""


def key(path: Path) -> bytes:
    """The key at `path`, made when there is none. An agent that stands by makes it, too: whoever is first counts. Where
    the disk gives and takes none this process has one of its own: it serves, and its tokens end with it."""
    try:
        return _existing(path) or _made(path)
    except (errors.SkerryError, OSError) as exc:
        log.error("feedback_key_not_kept", message=f"{exc}: tokens of this process are good until it ends")
        return os.urandom(feedback.KEY_BYTES)


def _existing(path: Path) -> bytes | None:
    """Raises UnavailableError and OSError when it is there and cannot be read, or what is no key cannot be removed."""
    if not path.exists():
        return None
    with contextlib.suppress(errors.TooLargeError):
        found = files.read(path, max_bytes=feedback.KEY_BYTES)
        if len(found) == feedback.KEY_BYTES:
            return found
    log.error("feedback_key_damaged", message=f"{path} is no key and is replaced: tokens given before are good no more")
    path.unlink(missing_ok=True)
    return None


def _made(path: Path) -> bytes:
    """Written aside and linked: never half there, and never over one that another agent made meanwhile. Raises
    UnavailableError and OSError."""
    new = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    files.write(new, os.urandom(feedback.KEY_BYTES), mode=0o600)
    try:
        os.link(new, path)
        files.sync_folder(path.parent)
    except FileExistsError:
        pass
    finally:
        new.unlink(missing_ok=True)
    return files.read(path, max_bytes=feedback.KEY_BYTES)
