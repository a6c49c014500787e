"""How a process is asked to end, and that it does: an event for its loop, and an end that nothing can put off.

What a service does in between (say that it is not ready, drain, flush) is its own.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass

from skerry.adapters.telemetry import logs

log = logs.logger("process")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AFTER_GRACE_S = 4.0  # to hang up on clients that keep their connections, and to flush


@dataclass(frozen=True, slots=True)
class Times:
    """How long each step of a server's end takes, in seconds: accepting as before, sending clients elsewhere, and at
    the most until running calls have ended."""

    notice_s: float
    linger_s: float
    grace_s: float

    @property
    def drained_s(self) -> float:
        """By then no call runs."""
        return self.notice_s + self.linger_s + self.grace_s

    @property
    def limit_s(self) -> float:
        """How long a process may live after it was asked to end."""
        return self.drained_s + _AFTER_GRACE_S


def requested(limit_s: float) -> asyncio.Event:
    """Set at SIGTERM or SIGINT, for the running loop. From then on the process lives for `limit_s` at most: a load or a
    run that is stuck would keep it for ever. It then ends with code 1, and says so.

    Signals are noticed on a thread: the loop's own may be what is stuck.
    """
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)  # so that the interpreter writes its number to the socket
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with woken, wake:
            while woken.recv(1)[0] not in _SIGNALS:
                pass
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends already
                loop.call_soon_threadsafe(event.set)
            time.sleep(limit_s)
            _end_by_force(limit_s)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    return event


def _end_by_force(limit_s: float) -> None:
    this_thread = threading.current_thread()
    log.error(
        "ended_by_force",
        message=f"something did not end in {limit_s:.0f} s after the signal: the process is ended all the same",
        threads=sorted(thread.name for thread in threading.enumerate() if thread is not this_thread),
    )
    os._exit(1)
