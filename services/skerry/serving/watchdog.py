"""Watches the runs on the loop's thread: one that holds it is stopped from here, for the loop itself cannot.

What counts is the CPU time that the loop's thread has spent on the run, so that a busy machine stops nothing. The
thread looks some twenty times a second while runs begin, sleeps while none do, and ends when that lasts.

A run takes no lock unless one is needed: each side writes what it is about to do before it looks at what the other has
written, so that one of them sees the other and meets it at the lock. So no stop meets the run after its own, and no run
begins on a thread that is about to end.
"""

import threading
import time

from skerry.core import errors
from skerry.serving.runtime import StopSwitch

_LOOK_S = 0.05
_HELD_S = 0.1  # of CPU time: the run is stopped
_SLOW_S = 0.02  # no run on the loop should take as long
_IDLE_LOOKS = 20
_END_AFTER_S = 60.0


class Watchdog:
    """Used on the loop's thread; one for all that runs there."""

    def __init__(self) -> None:
        self._switch: StopSwitch | None = None  # of the run that goes on
        self._number = 0  # of the latest run
        self._slow_number = 0  # of the latest run that was seen to be slow
        self._clock = 0
        self._lock = threading.Lock()
        self._is_stopping = False
        self._wake = threading.Event()
        self._is_asleep = True
        self._thread: threading.Thread | None = None

    def began(self, switch: StopSwitch) -> None:
        """Raises UnavailableError when the system has no thread to watch it from: it must not run then."""
        self._number += 1
        self._switch = switch
        if self._is_asleep:
            self._awake()

    def ended(self) -> bool:
        """Was it slow, as far as could be seen? Nothing stops its switch from now on."""
        self._switch = None
        if self._is_stopping:
            with self._lock:
                pass  # the stop was meant for it
        return self._slow_number == self._number

    def _awake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._clock = time.pthread_getcpuclockid(threading.get_ident())
                thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                try:
                    thread.start()
                except RuntimeError as exc:
                    self._switch = None
                    text = f"nothing can watch a run: {exc}; allow the process more threads"
                    raise errors.UnavailableError(text) from exc
                self._thread = thread
            self._is_asleep = False
            self._wake.set()

    def _watch(self) -> None:
        seen, since_s, idle = 0, 0.0, 0
        while True:
            time.sleep(_LOOK_S)
            switch, number = self._switch, self._number
            if switch is not None and number == seen:
                self._judge(switch, number, time.clock_gettime(self._clock) - since_s)
            elif number != seen:
                seen, since_s, idle = number, time.clock_gettime(self._clock), 0
            else:
                idle += 1
            if idle > _IDLE_LOOKS and not self._sleep():
                return

    def _judge(self, switch: StopSwitch, number: int, spent_s: float) -> None:
        if spent_s > _SLOW_S:
            self._slow_number = number
        if spent_s > _HELD_S:
            with self._lock:
                self._is_stopping = True
                if self._switch is not None and self._number == number:
                    switch.stop()
                self._is_stopping = False

    def _sleep(self) -> bool:
        """Until a run begins. False when none has begun for long: the thread ends, and the next run starts another."""
        self._wake.clear()
        self._is_asleep = True
        if self._switch is None:
            self._wake.wait(_END_AFTER_S)
        with self._lock:
            if self._switch is None and self._is_asleep:
                self._thread = None
                return False
            self._is_asleep = False
        return True
