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

from skerry.adapters.telemetry import logs

log = logs.logger("process")
_ENDING = (signal.SIGTERM, signal.SIGINT)


def asked_to_end(limit_s: float) -> asyncio.Event:
    """Set at SIGTERM or SIGINT, for the running loop. From then on the process lives for `limit_s` at most: a load or a
    run that is stuck would keep it for ever. It then ends with code 1, and says so.

    Signals are noticed on a thread: the loop's own may be what is stuck.
    """
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    for number in _ENDING:
        signal.signal(number, lambda *_: None)  # so that the interpreter writes its number to the socket
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with woken, wake:
            while woken.recv(1)[0] not in _ENDING:
                pass
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends already
                loop.call_soon_threadsafe(asked.set)
            time.sleep(limit_s)
            _end(limit_s)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    return asked


def _end(limit_s: float) -> None:
    here = threading.current_thread()
    log.error(
        "ended_by_force",
        message=f"something did not end in {limit_s:.0f} s after the signal: the process is ended all the same",
        threads=sorted(one.name for one in threading.enumerate() if one is not here),
    )
    os._exit(1)
